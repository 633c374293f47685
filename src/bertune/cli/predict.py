"""`bertune predict`: every row of a file, or line of stdin, with its prediction."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import RunFolder, Settings, print_json
from bertune.errors import listed


def predict(
    run: RunFolder,
    data: Annotated[
        str, typer.Argument(metavar="FILE|-", help="a data file, a named data set, or - for lines on stdin")
    ],
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="write to this file: .jsonl, .csv, .parquet, .npy, or .run of rankings; default stdout",
            show_default=False,
        ),
    ] = None,
    csv_format: Annotated[bool, typer.Option("--csv", help="write CSV; default JSON lines")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="JSON on stdout: a line per row, or with --out one object of counts"),
    ] = False,
) -> None:
    """Predict every row of a file, or every line of stdin.

    Your own columns are kept; label and probabilities are added, with predict.prefix before their
    names. An input column of the same name comes out as NAME_given. A row without text, or one that
    cannot be predicted, gets an empty label.
    """
    from bertune import api
    from bertune.cli.stdin import given
    from bertune.cli.streams import refuse_closed_output
    from bertune.config import parse_overrides
    from bertune.console import show
    from bertune.errors import ConfigError
    from bertune.nn.device import tune_allocator
    from bertune.reporting.wording import counted

    if out is None or as_json:
        refuse_closed_output("predictions" if out is None else "counts")
    if as_json and csv_format:
        raise ConfigError("--json and --csv name two formats. Drop one")
    tune_allocator()
    model = api.load(run, settings=parse_overrides(settings or []))
    console = show.messages()
    written = model.predict_file(
        given() if data == "-" else data,
        sys.stdout if out is None else out,
        csv_format,
        on_note=lambda note: None if data == "-" else show.echo(console, note, "dim"),
    )
    if as_json and out is not None:
        print_json(
            {
                "rows": written.rows,
                "blank": written.blank,
                "failed": written.failed,
                "truncated": written.truncated,
                "out": str(out),
                "renamed": dict(written.renamed),
            }
        )
    if written.renamed:
        show.echo(console, _renamed(written.renamed), "dim")
    if written.blank:
        show.warn(console, f"{written.blank:,} rows have no text and were not predicted")
    if written.failed:
        show.warn(console, show.failure_note(written.failed, written.failures))
    if written.truncated:
        of_all = f"{written.truncated:,} of {counted(written.rows, 'row')}"
        show.warn(console, show.truncation_note(of_all, model.max_length, model.length_limit))
    where = "" if out is None else f" into {out}"
    where += ", replacing the existing file" if written.is_replacement else ""
    rows = "1 row" if written.rows == 1 else f"{written.rows:,} rows"
    show.echo(console, f"{rows}{where}", "dim")


def _renamed(names: Mapping[str, str]) -> str:
    pairs = [f"{name} as {new}" for name, new in names.items()]
    return (
        f"kept input columns under another name, because predictions use theirs: {listed(pairs)}. To rename "
        "the columns of predictions instead, set predict.prefix=NAME_"
    )
