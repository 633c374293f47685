"""Parse the labels of a row: label names or a multi-hot vector in one cell, or one column per label."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertune.data.cell_values import cell_value, plain
from bertune.data.columns import cell_text, missing_hint, refuse_half_characters
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, listed
from bertune.tasks.multilabel.vectors import EXPECTED, Vector, duplicate_label, vector_in_digits, vector_of
from bertune.tasks.parts.label_names import unknown_label

# With the words that Excel writes for booleans in German, French, Spanish and Italian, and usual answers.
_YES = {
    "1", "1.0", "1,0", "true", "yes", "y", "t", "x", "✓", "√", "wahr", "ja", "j", "vrai", "oui", "verdadero",
    "sí", "si", "vero", "是", "真", "对", "有",
}  # fmt: skip
_NO = {
    "0", "0.0", "0,0", "false", "no", "n", "f", "✗", "×", "falsch", "nein", "faux", "non", "falso", "否",
    "假", "错", "无",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """The label cell of a row, as label names and, if the cell can be read that way, as a vector."""

    names: tuple[str, ...]  # empty if the cell can only be a vector
    vector: Vector | None = None


def labels_in(row: Row, column: str, separator: str) -> Cell:
    """Parse the labels in a cell: a list, a list written as text, or names joined by `separator`.

    Raises DataError for a missing value, for a cell that holds neither label names nor a vector, and for a
    duplicate label.
    """
    if plain(row.values.get(column)) is None:
        raise DataError(
            f'{row.origin}: the value in column "{column}" is missing, which is not the same as no labels.'
            f"{missing_hint(row, column)} Write [] or an empty string if the row has no labels, or remove "
            "the row"
        )
    value = cell_value(row, column, EXPECTED)
    if isinstance(value, Mapping) and value.keys() == {"choices"} and isinstance(value["choices"], list):
        value = value["choices"]  # Label Studio's CSV
    if isinstance(value, Mapping):
        return Cell(_marked(row, column, value))
    items = value if isinstance(value, list) else _separated(cell_text(row, column), separator)
    vector = vector_of(items)
    if vector is not None and vector.is_certain:
        return Cell((), vector)
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
        raise DataError(
            f'{row.origin}: column "{column}" is not a list of label names: {items!r:.60}. Expected '
            f"{EXPECTED}, or a vector of 0 and 1 with one entry per label"
        )
    names = [str(item).strip() for item in items]
    for name in names:
        refuse_half_characters(row, column, name)
    if "" in names:
        raise DataError(
            f'{row.origin}: column "{column}" has an empty label name. Remove it; write [] if the row has no '
            "labels"
        )
    duplicate = next((name for name, count in Counter(names).items() if count > 1), None)
    if duplicate is not None:
        raise duplicate_label(row.origin, duplicate)
    if len(names) == 1 and not isinstance(value, list):
        vector = vector_in_digits(names[0]) or vector
    return Cell(tuple(names), vector)


def _marked(row: Row, column: str, marks: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that an object marks with 1, as in {"joy": 1, "fear": 0}. Raises DataError."""
    if not marks or any(not isinstance(mark, int | float) or mark not in (0, 1) for mark in marks.values()):
        raise DataError(
            f'{row.origin}: column "{column}" holds an object, {dict(marks)!r:.60}. Expected 0 or 1 for each '
            f"label, or {EXPECTED}"
        )
    return tuple(str(name).strip() for name, mark in marks.items() if mark)


def is_yes(row: Row, column: str) -> bool:
    """Whether the cell assigns its column's label to the row. Raises DataError."""
    cell = cell_text(row, column).strip().casefold()
    if not cell:
        raise DataError(f'{row.origin}: column "{column}" is empty. Write 1 or 0')
    if cell not in _YES | _NO:
        raise DataError(f'{row.origin}: column "{column}" must be 1 or 0, or yes or no, got "{cell[:60]}"')
    return cell in _YES


def all_named(
    cells: tuple[str, ...], origin: Origin, known: tuple[str, ...] | None, source: str
) -> tuple[str, ...]:
    """The names of labels that are given by name or by index; unchanged if `known` is None.

    `known` are the labels in index order, from the setting or the file `source`. Raises DataError for an
    invalid index, and if a label is given twice.
    """
    if known is None:
        return cells
    names = tuple(_named(cell, origin, known, source) for cell in cells)
    if len(set(names)) < len(names):
        raise DataError(
            f"{origin}: {listed(cells)} refer to the same label more than once. List each label once"
        )
    return names


def _named(cell: str, origin: Origin, known: tuple[str, ...], source: str) -> str:
    if cell in known and not cell.isdecimal():
        return cell
    if not cell.isdecimal() or len(cell) > 9 or int(cell) >= len(known):
        raise DataError(
            f'{origin}: "{cell}" is not a valid label index. {source} has {len(known)} labels, numbered '
            "from 0"
        )
    return known[int(cell)]


def names_in(file: str) -> tuple[str, ...]:
    """Read label names from a file with one name per line. Raises ConfigError."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"task.label_file={file}: cannot read the file ({error})") from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, start=1):
        if not name or name in names[: number - 1]:
            problem = f'duplicate label "{name}"' if name else "the line is empty. Expected one name per line"
            raise ConfigError(f"task.label_file={file}, line {number}: {problem}")
    return tuple(names)


def _separated(cell: str, separator: str) -> list[Any]:
    """Split a cell at `separator`; a vector of 0 and 1 also at spaces and other common separators."""
    words = cell.split()
    vector = vector_of(words)
    if vector is not None and vector.is_certain:
        return words
    # Two numbers with the other separators may be a range such as 0-1.
    for signs, least in (("[;|]", 2), ("[-/_:，；、]", 3)):
        entries = re.split(signs, cell)
        if len(entries) >= least and vector_of(entries) is not None:
            return entries
    return [part for part in (piece.strip() for piece in cell.split(separator)) if part]


def label_indices(example: Any, index: dict[str, int]) -> Any:
    """The label indices of a text, preceded by -1, which separates the texts of a batch.

    Multi-hot vectors for all training texts would not fit in memory if there are many labels.
    """
    indices = [-1]
    for label in example.gold or ():
        if label not in index:
            raise unknown_label(example.origin, label, index)
        indices.append(index[label])
    return np.array(indices, np.int64)
