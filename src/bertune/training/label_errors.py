"""Likely label errors of rows that a model was not trained on, and the file in which to correct them.

`metrics/label_errors.py` describes the method. The predictions are for a held-out split, or the
out-of-fold predictions of a cross-validation, which cover the training rows.

Dimensions: N examples, M labelled items of all examples, K items of an example.
"""

import csv
import shlex
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertune.config import TaskConfig
from bertune.data.cell_values import UnreadableCellError
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import BertuneError
from bertune.files import disk_errors, replacing, to_json
from bertune.manifest.label_errors import LabelErrorRecord, LabelErrorsRecord
from bertune.metrics.arrays import FloatArray, IntArray
from bertune.metrics.label_errors import RULES, judge_labels, judge_sets, ranked
from bertune.run_writer import LABEL_ERRORS
from bertune.source import Source
from bertune.tasks import FittedTask, Task
from bertune.training.reading import Tables, open_split

FOLDER = LABEL_ERRORS  # in a run; its files are the user's to change, so they have no checksum
MOST_SHOWN = 100  # likely errors in the report; the file has all of them
_MOST_SORTED = 100_000  # rows in memory at once
_LEAST_ROWS = 20  # with fewer, the mean probabilities of the labels say little
_ADDED = ("given_label", "suggested_label", "label_score", "likely_error", "file", "line")


@dataclass(frozen=True)
class LabelErrors:
    """The labels of examples, judged by predictions for them."""

    examples: SequenceOf[Any]
    scores: FloatArray  # [N] probability of the given label, or of the least probable one of an example
    order: IntArray  # [N] positions of the examples: likely errors first, lowest score first
    num_likely: int
    rule: str  # how their number was determined
    suggestions: Mapping[int, tuple[Any, Any]]  # given and suggested label of the likely errors
    change: Callable[..., tuple[str, str]] | None = None  # `FittedTask.label_change`

    def shown(self, at: int) -> tuple[Any, Any]:
        """The given and the suggested label of a likely error as the report shows them."""
        given, suggested = self.suggestions[at]
        return (given, suggested) if self.change is None else self.change(self.examples[at], given, suggested)


def find_label_errors(
    fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]
) -> LabelErrors | None:
    """Judge the labels of examples; None if the task does not define how, or if there are too few."""
    if fitted.label_evidence is None or len(examples) < _LEAST_ROWS:
        return None
    each = fitted.label_error_kind == "each"
    found = (_of_sets if each else _of_items)(fitted, predictions, examples)
    if found is None:
        return None
    scores_N, wrong, is_informed = found
    is_error_N = np.zeros(len(examples), bool)
    is_error_N[list(wrong)] = True
    order_N = ranked(scores_N, is_error_N)
    suggestions = {
        at: fitted.suggested_label(predictions[at], examples[at], positions, labels)
        for at, (positions, labels) in wrong.items()
    }
    rule = RULES[fitted.label_error_kind if is_informed else "none"]
    return LabelErrors(examples, scores_N, order_N, len(wrong), rule, suggestions, fitted.label_change)


_Judged = tuple[FloatArray, dict[int, tuple[list[int], list[int]]], bool]


def _of_items(fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> _Judged | None:
    """The lowest score of the items of each example; by example, its likely errors and their labels.

    Then whether the predictions are good enough to judge labels.
    """
    golds = []
    for prediction, example in zip(predictions, examples, strict=True):
        evidence = fitted.label_evidence(prediction, example)
        if evidence is None:
            return None
        golds.append(evidence[0])
    sizes_N = np.array([len(gold) for gold in golds], np.int64)
    ends_N = np.cumsum(sizes_N)
    if not ends_N[-1]:
        return None

    def probabilities(block: slice) -> FloatArray:
        first = int(np.searchsorted(ends_N, block.start, side="right"))
        last = int(np.searchsorted(ends_N, min(block.stop, ends_N[-1]) - 1, side="right"))
        parts = [fitted.label_evidence(predictions[at], examples[at])[1] for at in range(first, last + 1)]
        start = block.start - int(ends_N[first] - sizes_N[first])
        joined: FloatArray = np.concatenate(parts)[start : start + block.stop - block.start]
        return joined

    are_parts = fitted.label_error_kind == "part"
    judged = judge_labels(np.concatenate(golds), probabilities, len(fitted.labels), are_parts)
    scores_N = np.ones(len(examples))
    owner_M = np.repeat(np.arange(len(examples)), sizes_N)
    np.minimum.at(scores_N, owner_M, judged.scores)
    wrong: dict[int, tuple[list[int], list[int]]] = {}
    for item in np.flatnonzero(judged.is_error).tolist():
        at = int(owner_M[item])
        positions, labels = wrong.setdefault(at, ([], []))
        positions.append(item - int(ends_N[at] - sizes_N[at]))
        labels.append(int(judged.predicted[item]))
    return scores_N, wrong, judged.is_informed


def _of_sets(fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> _Judged | None:
    """The same for tasks whose examples have a set of labels."""

    def part(block: slice, side: int) -> Any:
        pairs = zip(predictions[block], examples[block], strict=True)
        return np.stack([fitted.label_evidence(*pair)[side] for pair in pairs])

    judged = judge_sets(lambda block: part(block, 0), lambda block: part(block, 1), len(examples))
    none: list[int] = []
    wrong = {at: (labels.tolist(), none) for at, labels in enumerate(judged.errors) if len(labels)}
    return judged.scores, wrong, True


def record_of(
    found: LabelErrors, file: str, columns: Columns, task: TaskConfig, noun: str
) -> LabelErrorsRecord:
    """The record for the report: the most likely errors, and how to train from the corrected file."""
    settings = {
        "data.header": "true" if file.endswith(".csv") else None,
        "data.text": ",".join(columns.text),
        "data.label": columns.label,
        "data.id": columns.id,
        "task.name": task.name,
    }
    for key, value in task.options.items():
        if isinstance(value, list | tuple):
            settings[f"task.{key}"] = ",".join(map(str, value))
        elif isinstance(value, str | int | float):
            settings[f"task.{key}"] = str(value)
    shown = [
        LabelErrorRecord(
            id=found.examples[at].id,
            source=found.examples[at].origin.anywhere(),
            texts=list(found.examples[at].texts),
            given=_cell(found.shown(at)[0]),
            suggested=_cell(found.shown(at)[1]),
            score=float(found.scores[at]),
        )
        for at in found.order[: min(found.num_likely, MOST_SHOWN)].tolist()
    ]
    return LabelErrorsRecord(
        num=len(found.examples),
        num_likely=found.num_likely,
        noun=noun,
        rule=found.rule,
        file=file,
        settings=[shlex.quote(f"{key}={value}") for key, value in settings.items() if value],
        shown=shown,
    )


@dataclass(frozen=True)
class Originals:
    """The rows of a source that examples were read from."""

    source: Source
    tables: Tables
    table: str  # train, validation or test
    rows: SequenceOf[int]  # positions of the examples in the table

    def read(self) -> tuple[tuple[str, ...], Columns, Iterator[tuple[int, Row]]]:
        """The columns of the file, those used, and the rows with the positions of their examples.

        The rows are in the order of the file.
        """
        opened, columns, _ = open_split(self.source, self.table, self.tables.task)
        kept = self.tables.kept if self.table == "train" else None
        position = {row if kept is None else kept[row]: at for at, row in enumerate(self.rows)}
        last = max(position, default=-1)

        def rows() -> Iterator[tuple[int, Row]]:
            for number, row in enumerate(opened.rows()):
                if number in position:
                    yield position[number], row
                if number >= last:
                    break

        return (opened.ungrouped or opened).columns, columns, rows()


def write_corrections(found: LabelErrors, originals: Originals, folder: Path, name: str) -> str:
    """Write all rows to a file that can be corrected and trained from; returns the name of the file.

    The likely errors come first, the most likely one at the top. The other rows follow in the same order, or
    in the order of the original file if there are very many. The columns of the original come first, then the
    given and the suggested label, the probability of the given label, whether it is a likely error, and file
    and line. CSV, in which lists are written as JSON; JSON Lines if the rows would not be read again as the
    same examples. Raises ResourceError.
    """
    columns, used, _ = originals.read()
    with disk_errors(folder.parent):
        folder.mkdir(exist_ok=True)
    is_csv = _can_be_csv(found, originals, columns)
    file = f"{name}.{'csv' if is_csv else 'jsonl'}"
    with replacing(folder / file) as staging, staging.open("w", encoding="utf-8", newline="") as output:
        names = list(dict.fromkeys([*columns, *filter(None, (*used.text, used.label, used.id))]))
        added = {key: f"bertune_{key}" if key in names else key for key in _ADDED}
        writer = csv.writer(output, quoting=csv.QUOTE_ALL)
        if is_csv:
            writer.writerow([*names, *added.values()])
        for values, more in _ordered(found, originals, used):
            if is_csv:
                writer.writerow([*(_cell(values.get(key)) for key in names), *map(_cell, more)])
            else:
                line = {**values, **dict(zip(added.values(), more, strict=True))}
                output.write(to_json(line, indent=None, default=str) + "\n")
    return file


def _ordered(
    found: LabelErrors, originals: Originals, used: Columns
) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
    """The values of all rows of the file to write, in its order, each with the added values."""
    is_few = len(found.examples) <= _MOST_SORTED
    first = {at: row for at, row in originals.read()[2] if is_few or at in found.suggestions}
    for at in found.order[: len(first)].tolist():
        yield from _lines(found, at, first[at], used)
    if not is_few:
        for at, row in originals.read()[2]:
            if at not in first:
                yield from _lines(found, at, row, used)


def _lines(
    found: LabelErrors, at: int, row: Row, used: Columns
) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
    given = row.values.get(used.label) if used.label else None
    suggested = found.suggestions.get(at, (None, None))[1]
    if used.label and suggested is None:
        suggested = given
    score, is_likely = round(float(found.scores[at]), 6), at in found.suggestions
    if not row.parts:
        yield row.values, [given, suggested, score, is_likely, row.origin.file, row.origin.line]
        return
    # A row of the file is a part of the example, such as a word; parts without text have no label.
    labels = iter(suggested if isinstance(suggested, list) else ())
    for part in row.parts:
        own = part.values.get(used.label) if used.label else None
        label = next(labels, own) if any(part.values.get(column) for column in used.text) else own
        yield part.values, [own, label, score, is_likely, part.origin.file, part.origin.line]


def _can_be_csv(found: LabelErrors, originals: Originals, columns: SequenceOf[str]) -> bool:
    """Whether the rows are the same examples if their cells are written to a CSV file and read again."""
    task: Task = originals.tables.task
    _, used, rows = originals.read()
    for at, row in rows:
        if row.parts:
            continue
        example = found.examples[at]
        cells = {name: _cell(row.values.get(name)) for name in (*columns, *used.text, used.label or "")}
        try:
            again = task.settled([task.parse(Row(cells, Origin("", 1)), used)])[0]
        except (BertuneError, UnreadableCellError):
            return False
        if (again.texts, again.gold) != (example.texts, example.gold):
            return False
    return True


def _cell(value: Any) -> str:
    """The text of a CSV cell; lists and objects are written as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        value
        if isinstance(value, str)
        else str(value)
        if isinstance(value, int | float)
        else to_json(value, indent=None, default=str)
    )
