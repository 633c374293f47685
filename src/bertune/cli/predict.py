"""`bertune predict`: predict every row of a file or every line of stdin."""

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
        str, typer.Argument(metavar="FILE|-", help="data file, named data set, or - for lines on stdin")
    ],
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="output file: .jsonl, .csv, .parquet, .npy, or .run for rankings; default: stdout",
            show_default=False,
        ),
    ] = None,
    csv_format: Annotated[bool, typer.Option("--csv", help="write CSV instead of JSON Lines")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="JSON on stdout: one line per row, or the row counts with --out"),
    ] = False,
) -> None:
    """Predict every row of a file, or every line of stdin.

    The output has all input columns plus the prediction, such as label and probabilities; predict.prefix
    is prepended to the names of the prediction columns. An input column with the same name is renamed to
    NAME_given. A row that has no text or cannot be predicted gets an empty prediction.
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space(run)
    from bertune import api
    from bertune.allocator import tune_allocator
    from bertune.cli.stdin import given
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.errors import ConfigError, counted
    from bertune.settings import parse_overrides

    if out is None or as_json:
        refuse_closed_output("predictions" if out is None else "counts")
    if as_json and csv_format:
        raise ConfigError("--json and --csv cannot be combined. Remove one of them")
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
        one = written.blank == 1
        have = "has no text and was" if one else "have no text and were"
        show.warn(console, f"{counted(written.blank, 'row')} {have} not predicted")
    if written.failed:
        show.warn(console, show.failure_note(written.failed, written.failures))
    if written.truncated:
        of_all = f"{written.truncated:,} of {counted(written.rows, 'row')}"
        show.warn(console, show.truncation_note(of_all, model.max_length, model.length_limit))
    where = "" if out is None else f" to {out}"
    where += ", replacing the existing file" if written.is_replacement else ""
    show.echo(console, f"wrote {counted(written.rows, 'row')}{where}", "dim")


def _renamed(names: Mapping[str, str]) -> str:
    pairs = [f"{name} to {new}" for name, new in names.items()]
    return (
        f"renamed input columns that have the name of a prediction column: {listed(pairs)}. To rename the "
        "prediction columns instead, set predict.prefix=NAME_"
    )
