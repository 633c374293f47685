"""Owns how results look in a terminal: plain words and aligned tables, the same with and without colour."""

import contextlib
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_LABELS = 12
MOST_FAILURES = 5
MOST_CLASSES = 200  # in a table of scores
_NO_LIMIT = 10_000  # columns
_PROSE_WIDTH = 100  # columns of a table of sentences in a file or a pipe


class _Messages(Console):
    """A console that stops printing when its pipe is closed, so that the work continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def messages() -> Console:
    """Where human text goes: stderr."""
    return _console(_Messages, stderr=True)


def results() -> Console:
    """Where results go: stdout."""
    return _console(Console, stderr=False)


def _console(kind: type[Console], stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # In a file or a pipe nothing is cut to the width of a screen that is not there.
    width = None if stream.isatty() else _NO_LIMIT
    return kind(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def echo(console: Console, text: str, style: str = "") -> None:
    """A line of text that may hold anything a user's file holds: no markup is read from it.

    A message that cannot be written, as where the terminal is gone, is no reason to stop.
    """
    with contextlib.suppress(OSError):
        console.print(Text(text, style=style))


def truncation_note(of_all: str, max_length: int, limit: int) -> str:
    """What was truncated, and whether the model could read more; both lengths are in tokens."""
    more = (
        "which is all that the encoder takes"
        if max_length >= limit
        else f"and model.max_length={limit} reads up to {limit:,}"
    )
    return f"{of_all} were truncated to model.max_length={max_length} tokens, {more}"


def failure_note(failed: int, failures: Sequence[str]) -> str:
    """How many rows could not be predicted, and why for the first of them."""
    were = "1 row" if failed == 1 else f"{failed:,} rows"
    shown = failures[:MOST_FAILURES]
    more = [f"… and {failed - len(shown):,} more"] if failed > len(shown) else []
    return "\n  ".join([f"{were} could not be predicted, so the prediction is empty:", *shown, *more])


def data_summary(console: Console, notes: Iterable[str], manifest: Mapping[str, Any]) -> None:
    """What is in the data: where it is from, rows, balance, lengths, duplicates."""
    for note in notes:
        echo(console, note, "dim")
    splits = manifest["data"]["splits"]
    table = _table("", "rows", "repeated", "truncated", "tokens: median", "p95", "p99", "longest")
    for name, split in splits.items():
        tokens = split["tokens"]
        table.add_row(
            name, f"{split['rows']:,}", f"{split['duplicates']:,}", f"{split['truncated']:,}",
            *(f"{tokens[key]:,}" for key in ("p50", "p95", "p99", "max")),
        )  # fmt: skip
    for part in ("", table, ""):
        console.print(part)
    if splits["train"]["labels"]:
        for part in (_balance(splits), ""):
            console.print(part)
    length = manifest["max_length"]
    value, limit = length["value"], length["model_limit"]
    takes = "" if value == limit else f" (the model takes {limit:,})"
    echo(console, f"max_length {value}: {length['why']}{takes}")
    shares = splits["train"]["truncated_at"]
    if shares:
        cuts = ", ".join(f"{n} would cut {share:.1%}" for n, share in shares.items())
        echo(console, f"of the training texts a max_length of {cuts}")


def _balance(splits: Mapping[str, Any]) -> Table:
    table = _table("label", *splits)
    labels = list(splits["train"]["labels"])
    # Where a row may have several labels, the shares are of labels.
    wholes = [max(split["rows"], sum(split["labels"].values())) for split in splits.values()]
    for label in labels[:MOST_LABELS]:
        counts = [
            (split["labels"].get(label, 0), whole)
            for split, whole in zip(splits.values(), wholes, strict=True)
        ]
        table.add_row(Text(label), *(f"{count:,} ({count / rows:.1%})" for count, rows in counts))
    if len(labels) > MOST_LABELS:
        number = len(labels) + splits["train"].get("labels_left_out", 0)
        table.add_row(Text(f"… {number} labels in all"))
    return table


def warn(console: Console, text: str) -> None:
    """Something that deserves attention."""
    echo(console, f"warning: {text}", "yellow")


def score_table(scores: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Scores in rows, splits in columns."""
    table = _table("score", *scores)
    names = list(dict.fromkeys(name for split in scores.values() for name in split))
    for name in names:
        values = [split.get(name) for split in scores.values()]
        if any(value is not None for value in values):  # some scores are for other data than this
            table.add_row(name, *map(number, values))
    return table


def class_table(details: Mapping[str, Any]) -> Table:
    """Precision, recall, F1 and support per class; of very many classes the weakest."""
    table = _table("label", "precision", "recall", "f1", "support")
    classes = details.get("per_class", [])
    shown = classes
    if len(classes) > MOST_CLASSES:
        shown = sorted(classes, key=lambda row: math.inf if row["f1"] is None else row["f1"])[:MOST_CLASSES]
    for row in shown:
        values = (number(row[key]) for key in ("precision", "recall", "f1"))
        table.add_row(Text(row["label"]), *values, f"{row['support']:,}")
    if len(classes) > len(shown):
        table.add_row(Text(f"… the weakest {len(shown)} of {len(classes):,} labels; --json lists all"))
    return table


def print_plain_table(
    console: Console, heads: tuple[str, ...], keys: tuple[str, ...], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Shows values of objects in columns, wrapped where they are long."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head == heads[0])
    for row in rows:
        table.add_row(*(Text("" if row[key] is None else str(row[key])) for key in keys))
    if console.is_terminal:
        console.print(table)
        return
    for column in table.columns:  # a long word, such as a path, stays whole where there is no screen
        words = [word for cell in column.cells for word in str(cell).split()]
        column.min_width = max(map(cell_len, words), default=0)
    console.print(table, width=_PROSE_WIDTH)


def side_table(title: str, rows: Iterable[tuple[str, ...]]) -> Table:
    """What each side of a comparison reached."""
    table = _table(title, "texts/s", "bertune is faster by", "padding", "peak memory, MB")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def short(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def number(value: float | None) -> str:
    """A score as text."""
    return "undefined" if value is None else f"{value:.4f}"


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    for position, header in enumerate(headers):
        if position == 0:  # the one that may be long: it is wrapped, never cut
            table.add_column(header, overflow="fold")
        else:
            table.add_column(header, justify="right", no_wrap=True)
    return table
