"""The confusion matrix as an HTML table, and the most frequent confusions."""

from collections.abc import Sequence
from dataclasses import dataclass

from bertune.errors import plural
from bertune.manifest.details import ConfusionsRecord, DetailsRecord
from bertune.reporting.fonts import can_draw
from bertune.reporting.table import Cell, PageTable, users
from bertune.reporting.wording import count, percent, plain, visible

MOST_IN_TABLE = 20  # labels; beyond that the page shows the figure
MOST_NAMED = 6  # labels; beyond that the columns are headed by numbers
MOST_CONFUSIONS = 20


@dataclass(frozen=True)
class Square:
    """One cell: its count, and its share of the row in percent."""

    text: str
    share: int
    is_right: bool


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: rows are gold labels, columns predicted labels."""

    columns: list[str]
    rows: list[tuple[str, list[Square]]]
    is_numbered: bool  # the columns show numbers because names would not fit
    is_drawn: bool  # too large for a table: the page shows the figure instead
    labels: list[str]
    counts: list[list[int]]


def read_matrix(details: DetailsRecord) -> Matrix | None:
    """The recorded matrix; None if there is none or its shape does not match the labels."""
    labels = list(details.labels or [])
    counts = details.confusion_matrix or []
    if not labels or [len(row) for row in counts] != [len(labels)] * len(labels):
        return None
    # If the figure numbers the labels because a glyph is missing, this table maps numbers to names.
    are_long = len(labels) > MOST_NAMED or any(len(label) > 14 for label in labels)
    is_numbered = are_long or not all(can_draw(plain(label)) for label in labels)
    names = [visible(label) for label in labels]
    return Matrix(
        columns=[str(i + 1) for i in range(len(labels))] if is_numbered else names,
        rows=[(name, _squares(row, i)) for i, (name, row) in enumerate(zip(names, counts, strict=True))],
        is_numbered=is_numbered,
        is_drawn=len(labels) > MOST_IN_TABLE,
        labels=labels,
        counts=counts,
    )


def _squares(row: Sequence[int], index: int) -> list[Square]:
    total = sum(row) or 1
    return [
        Square(count(number) if number else "", round(100 * number / total), is_right=j == index)
        for j, number in enumerate(row)
    ]


def confusions(matrix: Matrix, unit: str) -> PageTable | None:
    """The most frequent wrong predictions; None if the matrix is small enough to show them at a glance."""
    if len(matrix.labels) <= MOST_NAMED:
        return None
    wrong = sorted(
        (-number, i, j)
        for i, row in enumerate(matrix.counts)
        for j, number in enumerate(row)
        if i != j and number
    )[:MOST_CONFUSIONS]
    if not wrong:
        return None
    rows = [
        [
            users(matrix.labels[i]),
            Cell(visible(matrix.labels[j]), is_users=True),
            Cell(count(-number)),
            Cell(percent(-number, sum(matrix.counts[i]))),
        ]
        for number, i, j in wrong
    ]
    return PageTable("confusions", _headings(unit), rows, num_text=2)


def _headings(unit: str) -> list[str]:
    return ["gold", "predicted", plural(unit), "share of the gold label"]


def listed_confusions(details: DetailsRecord, unit: str) -> PageTable | None:
    """The most frequent wrong predictions, recorded instead of a matrix; the note says why."""
    recorded = details.confusions or ConfusionsRecord()
    rows = [
        [
            users(row.gold),
            Cell(visible(row.predicted), is_users=True),
            Cell(count(row.count)),
            Cell(percent(row.count, row.support)),
        ]
        for row in recorded.rows or []
    ]
    if not rows:
        return None
    shown, pairs, labels = (count(n) for n in (len(rows), recorded.num_pairs, len(details.labels or [])))
    which = f"the {shown} most frequent of {pairs} confusions" if shown != pairs else "all confusions"
    note = (
        f"Showing {which}. A confusion matrix is stored for up to {count(recorded.most_labels)} "
        f"labels; this task has {labels}."
    )
    return PageTable("confusions", _headings(unit), rows, num_text=2, note=note)


def only_prediction(matrix: Matrix) -> str | None:
    """The only predicted label of a model that has collapsed, or None.

    A model has collapsed if it predicts one label throughout although there are several gold labels.
    """
    predicted = [label for j, label in enumerate(matrix.labels) if any(row[j] for row in matrix.counts)]
    num_gold = sum(any(row) for row in matrix.counts)
    return predicted[0] if len(predicted) == 1 and num_gold > 1 else None
