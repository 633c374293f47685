"""`bertune predict`: what a trained model says about texts, streamed in input order."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from bertune.cli.arguments import RunFolder, Settings

if TYPE_CHECKING:
    from bertune.apply import Model
    from bertune.data.columns import Columns
    from bertune.data.tables import Table

Line = tuple[dict[str, Any], bool]  # a row with what is said about it, and whether anything is


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
) -> None:
    """Predict every row of a file, or every line of stdin.

    Your own columns are kept; label and probabilities are added. A row without text gets an empty label.
    """
    from bertune import api
    from bertune.cli import show, vectors
    from bertune.config import parse_overrides
    from bertune.errors import ConfigError
    from bertune.files import refuse_unusable, replacing, write_atomically

    model = api.load(run, overrides=parse_overrides(settings or []))
    if out is not None:
        refuse_unusable(out, "--out")
        _refuse_other_endings(out, csv_format, model.extra_suffixes)
        if data != "-" and out.exists() and Path(data).exists() and out.samefile(data):
            raise ConfigError(
                f"--out {out} is the input file, and predict does not overwrite it. Give another name"
            )
    as_csv = csv_format or (out is not None and out.suffix.lower() == ".csv")
    counts = Counter({"rows": 0, "blank": 0})
    table, columns = _opened(model, data)
    lines = _lines(model, table, columns, counts)
    if out is not None and (ending := out.suffix.lower().removeprefix(".")) in model.extra_suffixes:
        of_task, counts["rows"], counts["blank"] = model.predicted_file(table, columns, ending)
        write_atomically(out, "".join(f"{line}\n" for line in of_task))
    elif out is None:
        _write(lines, sys.stdout, as_csv)
    elif out.suffix.lower() in vectors.SUFFIXES:
        with replacing(out) as staging:
            vectors.write(lines, staging, out)
    else:
        with replacing(out) as staging, staging.open("w", encoding="utf-8", newline="") as file:
            _write(lines, file, as_csv)
    console = show.messages()
    if counts["blank"]:
        show.warn(console, f"{counts['blank']:,} rows have no text; nothing is said about them")
    if model.num_truncated:
        show.warn(
            console,
            f"{model.num_truncated:,} texts are longer than the model was trained on and were truncated",
        )
    where = "" if out is None else f" into {out}"
    rows = "1 row" if counts["rows"] == 1 else f"{counts['rows']:,} rows"
    show.say(console, f"{rows}{where}", "dim")


def _refuse_other_endings(out: Path, csv_format: bool, of_task: tuple[str, ...]) -> None:
    """Raises ConfigError for a name that says another format than there is, or than --csv does."""
    from bertune.errors import ConfigError, listed

    ending = out.suffix.lower().removeprefix(".")
    known = ("jsonl", "csv", "parquet", "npy", *of_task)
    if csv_format and ending in known and ending != "csv":
        raise ConfigError(f"--out {out}: its name ends in .{ending}, and --csv says CSV. Drop one")
    if not csv_format and ending not in known:
        raise ConfigError(
            f"--out {out}: files of predictions end in {listed([f'.{name}' for name in known])}, which "
            "says how it is written"
        )


def _opened(model: "Model", data: str) -> "tuple[Table, Columns]":
    from bertune.cli import show
    from bertune.cli.stdin import given
    from bertune.data.tables import open_lines

    if data == "-":
        table = open_lines(given(), "<stdin>", model.line_columns)
        return table, model.columns_of(table, need_label=False)[0]
    table, columns, notes = model.open(data, need_label=False)
    for note in notes:
        show.say(show.messages(), note, "dim")
    return table, columns


def _lines(model: "Model", table: "Table", columns: "Columns", counts: Counter[str]) -> Iterator[Line]:
    from bertune.cli.vectors import SomeLabels

    labels = set(model.labels)
    for row, prediction in model.stream(table, columns):
        counts["rows"] += 1
        counts["blank"] += prediction is None
        said = {
            name: SomeLabels(value) if isinstance(value, dict) and value.keys() < labels else value
            for name, value in model.to_json(prediction).items()
        }
        # A column of the user's that has the name of ours is kept beside it, never overwritten.
        given = {f"{name}_given" if name in said else name: value for name, value in row.values.items()}
        yield {**given, **said}, prediction is not None


def _write(lines: Iterator[Line], file: TextIO, as_csv: bool) -> None:
    from bertune.files import to_json

    if not as_csv:
        for line, _ in lines:
            file.write(to_json(line, indent=None, default=str) + "\n")
        return
    waiting: list[dict[str, Any]] = []
    writer = None
    for line, is_predicted in lines:
        waiting.append(_flat(line))
        if writer is None and not is_predicted:
            continue  # its columns are known only from a row that has a prediction
        writer = writer or _csv_writer(file, waiting[-1])
        writer.writerows(waiting)
        waiting = []
    if waiting:
        _csv_writer(file, waiting[0]).writerows(waiting)


def _csv_writer(file: TextIO, row: dict[str, Any]) -> "csv.DictWriter[str]":
    writer = csv.DictWriter(file, list(row), extrasaction="ignore")
    writer.writeheader()
    return writer


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as columns of their own, as in probabilities.good. Lists are JSON in one cell, and so is
    what is said about some of the labels: the next row may have others."""
    from bertune.cli.vectors import SomeLabels, encodable

    flat: dict[str, Any] = {}
    for key, value in encodable(line).items():
        if isinstance(value, dict) and not isinstance(value, SomeLabels):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        elif isinstance(value, dict | list | tuple):
            flat[key] = json.dumps(value, ensure_ascii=False, default=str)
        else:
            flat[key] = value
    return flat
