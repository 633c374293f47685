"""Format messages and tables for the terminal; the content is the same with and without colour."""

import contextlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bertune.audit.findings import Finding
from bertune.errors import counted, plural

MOST_LABELS = 12  # rows of the label balance table
MOST_FAILURES = 5  # error messages of rows that could not be predicted
MOST_FOUND = 3  # rows shown for a finding of the audit
MOST_CLASSES = 200  # rows of the scores per class
_MOST_EXCERPT = 50  # characters of a text shown with a finding
_NO_LIMIT = 10_000  # characters per line
_PROSE_WIDTH = 100  # characters per line of a table with sentences in a file or pipe


class _Messages(Console):
    """A console that becomes silent when its pipe is closed, so that the command continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def messages() -> Console:
    """The console for messages: stderr."""
    return _console(_Messages, stderr=True)


def results() -> Console:
    """The console for results: stdout."""
    return _console(Console, stderr=False)


def _console(kind: type[Console], stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # Lines in a file or pipe are not wrapped to a screen width.
    width = None if stream.isatty() else _NO_LIMIT
    return kind(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def echo(console: Console, text: str, style: str = "") -> None:
    """Print a line verbatim; text from user data is never interpreted as markup.

    Errors are ignored, for example if the terminal was closed.
    """
    with contextlib.suppress(OSError):
        console.print(Text(text, style=style))


def truncation_note(of_all: str, max_length: int, limit: int) -> str:
    """A note on truncated texts and whether a longer input is possible; both lengths are in tokens."""
    hint = (
        "the maximum of the encoder"
        if max_length >= limit
        else f"set model.max_length={limit} to use up to {limit:,} tokens"
    )
    return f"{of_all} were truncated to model.max_length={max_length} tokens; {hint}"


def failure_note(failed: int, failures: Sequence[str]) -> str:
    """The number of rows that could not be predicted, and the first error messages."""
    shown = failures[:MOST_FAILURES]
    more = [f"… and {failed - len(shown):,} more"] if failed > len(shown) else []
    first = f"{counted(failed, 'row')} could not be predicted, and the prediction is empty:"
    return "\n  ".join([first, *shown, *more])


def data_summary(console: Console, notes: Iterable[str], manifest: Mapping[str, Any]) -> None:
    """Print the notes, the number of rows, duplicates and truncated texts, lengths, and label balance."""
    for note in notes:
        echo(console, note, "dim")
    splits = manifest["data"]["splits"]
    table = _table("", "rows", "duplicates", "truncated", "tokens: median", "p95", "p99", "max")
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
    maximum = "" if value == limit else f" (model maximum: {limit:,})"
    echo(console, f"max_length {value}: {length['why']}{maximum}")
    fractions = splits["train"]["truncated_at"]
    if fractions:
        truncated = ", ".join(f"{fraction:.1%} at max_length {n}" for n, fraction in fractions.items())
        echo(console, f"training texts that would be truncated: {truncated}")


def findings_table(console: Console, findings: Iterable[Mapping[str, Any]]) -> None:
    """Print the findings of the audit: level, count, what to do, and the first rows with file and line."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("level", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("finding, what to do, and first rows", overflow="fold")
    for finding in findings:
        style = {"error": "bold red", "warning": "yellow"}.get(finding["level"], "")
        lines = [finding["message"], finding["remedy"], *map(_found_row, finding["rows"][:MOST_FOUND])]
        count = f"{finding['count']:,} of {finding['total']:,}"
        table.add_row(Text(finding["level"], style), count, Text("\n".join(filter(None, lines))))
    if table.row_count:
        console.print(table, width=None if console.is_terminal else _PROSE_WIDTH)
    else:
        echo(console, "audit: no findings")


def _found_row(row: Mapping[str, Any]) -> str:
    """`  a.csv, line 7: great phone (repeats b.csv, line 2)`."""
    text = row["text"] if len(row["text"]) <= _MOST_EXCERPT else f"{row['text'][: _MOST_EXCERPT - 1]}…"
    note = f" ({row['note']})" if row.get("note") else ""
    return f"  {row['place']}: {text}{note}"


def _balance(splits: Mapping[str, Any]) -> Table:
    table = _table("label", *splits)
    labels = list(splits["train"]["labels"])
    # If rows can have several labels, the percentages are fractions of all labels.
    wholes = [max(split["rows"], sum(split["labels"].values())) for split in splits.values()]
    for label in labels[:MOST_LABELS]:
        counts = [
            (split["labels"].get(label, 0), whole)
            for split, whole in zip(splits.values(), wholes, strict=True)
        ]
        table.add_row(Text(label), *(f"{count:,} ({count / rows:.1%})" for count, rows in counts))
    if len(labels) > MOST_LABELS:
        total = len(labels) + splits["train"].get("labels_left_out", 0)
        table.add_row(Text(f"… {total} labels in total"))
    return table


def warn(console: Console, text: str) -> None:
    """Print a warning."""
    echo(console, f"warning: {text}", "yellow")


def audit_lines(console: Console, findings: Iterable[Finding], warnings: Iterable[str]) -> None:
    """Print the warnings about the data, one line each; those of findings with the level error as errors."""
    errors = {finding.line() for finding in findings if finding.level == "error"}
    for text in warnings:
        if text in errors:
            echo(console, f"data error: {text}", "bold red")
        else:
            warn(console, text)


def score_table(
    scores: Mapping[str, Mapping[str, float | None]], intervals: Mapping[str, Mapping[str, Any]] | None = None
) -> Table:
    """A table with one row per score and one column per split, with intervals as in `IntervalsRecord`."""
    ends = {split: (found.get("scores") or {}) for split, found in (intervals or {}).items()}
    table = _table("score", *scores)
    names = list(dict.fromkeys(name for split in scores.values() for name in split))
    for name in names:
        values = [split.get(name) for split in scores.values()]
        if any(value is not None for value in values):  # some scores do not apply to every data set
            both = (ends.get(split, {}).get(name) for split in scores)
            table.add_row(name, *map(with_interval, values, both))
    return table


def class_table(details: Mapping[str, Any]) -> Table:
    """Precision, recall, F1 and support per class; beyond MOST_CLASSES, of those with the lowest F1."""
    table = _table("label", "precision", "recall", "f1", "support")
    classes = details.get("per_class", [])
    shown = classes
    if len(classes) > MOST_CLASSES:
        shown = sorted(classes, key=lambda row: math.inf if row["f1"] is None else row["f1"])[:MOST_CLASSES]
    for row in shown:
        values = (number(row[key]) for key in ("precision", "recall", "f1"))
        table.add_row(Text(row["label"]), *values, f"{row['support']:,}")
    if len(classes) > len(shown):
        table.add_row(
            Text(f"… the {len(shown)} of {len(classes):,} labels with the lowest F1; --json lists all")
        )
    return table


def print_plain_table(
    console: Console, heads: tuple[str, ...], keys: tuple[str, ...], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Print the `keys` of each row as a table with wrapped cells."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head == heads[0])
    for row in rows:
        table.add_row(*(Text("" if row[key] is None else str(row[key])) for key in keys))
    if console.is_terminal:
        console.print(table)
        return
    for column in table.columns:  # do not break long words, such as paths, in a file or pipe
        words = [word for cell in column.cells for word in str(cell).split()]
        column.min_width = max(map(cell_len, words), default=0)
    console.print(table, width=_PROSE_WIDTH)


def side_table(title: str, rows: Iterable[tuple[str, ...]]) -> Table:
    """A benchmark table with one row per contestant."""
    table = _table(title, "texts/s", "bertune speedup", "padding", "peak memory, MB")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def number(value: float | None) -> str:
    """A score with four decimals, or "undefined"."""
    return "undefined" if value is None else f"{value:.4f}"


def with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    """A score with its interval, as in 0.8375 [0.7901, 0.8790]."""
    return number(value) if ends is None else f"{number(value)} [{number(ends[0])}, {number(ends[1])}]"


def seed_note(seeds: Mapping[str, Any] | None) -> str:
    """The spread of the primary score over the training seeds of a run; empty for a single seed."""
    if not seeds:
        return ""
    name = seeds["primary"]
    parts = []
    for split, spread in seeds["spread"].items():
        found = spread.get(name)
        if found is not None:
            ends = f"{number(found['low'])} to {number(found['high'])}"
            sd = "" if found["sd"] is None else f" ± {number(found['sd'])}"
            parts.append(f"{split} {number(found['mean'])}{sd} ({ends})")
    return f"{len(seeds['runs'])} seeds, mean {name}: {'; '.join(parts)}; kept seed {seeds['best']}"


def interval_note(intervals: Mapping[str, Mapping[str, Any]] | None, noun: str) -> str:
    """A line on how the intervals of a score table were computed; empty if there are none."""
    known = [found for found in (intervals or {}).values() if found.get("method")]
    if not known:
        return ""
    unit = f"group of {plural(noun)}" if known[0]["is_grouped"] else noun
    return f"[low, high]: {known[0]['level']:.0%} intervals, resampled by {unit}"


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    for position, header in enumerate(headers):
        if position == 0:  # may be long: wrap it instead of truncating it
            table.add_column(header, overflow="fold")
        else:
            table.add_column(header, justify="right", no_wrap=True)
    return table
