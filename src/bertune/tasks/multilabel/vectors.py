"""Multi-hot vectors in label cells, and how to distinguish them from lists of label indices.

A single cell is ambiguous: [0, 1] may be two labels, or a vector with the second label. A whole column
usually is not.
"""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

from bertune.data.rows import Origin
from bertune.errors import DataError, listed

EXPECTED = 'a list of label names, as in ["joy", "fear"]'
_ENTRIES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "0.": 0, "1.": 1, "True": 1, "False": 0}


@dataclass(frozen=True, slots=True)
class Vector:
    """A cell that holds only 0 and 1, one entry per label."""

    ones: tuple[int, ...]  # positions of the entries that are 1
    size: int  # number of entries
    duplicate: str = ""  # an entry that occurs more than once, which a list of labels must not have
    is_typed: bool = False  # the entries are booleans or floats, which a list of labels does not have

    @property
    def is_certain(self) -> bool:
        """Whether the cell can only be a vector."""
        return bool(self.duplicate) or self.is_typed


def vector_of(items: list[Any]) -> Vector | None:
    """The items as a vector if each one is 0, 1 or a boolean, possibly written as text; otherwise None."""
    entries = [
        _ENTRIES.get(item.strip())
        if isinstance(item, str)
        else item
        if isinstance(item, int | float)
        else None
        for item in items
    ]
    if not entries or any(entry not in (0, 1) for entry in entries):
        return None
    duplicate = next((str(items[i]) for i, e in enumerate(entries) if e in entries[:i]), "")
    is_typed = any(isinstance(item, bool | float) for item in items)
    return Vector(tuple(i for i, e in enumerate(entries) if e), len(entries), duplicate, is_typed)


def with_vectors_read(
    examples: SequenceOf[Any], label_format: str, names: tuple[str, ...] | None
) -> list[Any]:
    """Decode the multi-hot vectors of a table into labels, or drop them if the cells hold label names.

    `names` are the labels in the order of the vector entries; None stands for "0", "1" and so on. Raises
    DataError unless the cells are either all vectors of the same size or all label names.
    """
    cells = [(e.origin, e.vector) for e in examples if e.gold is not None]
    if label_format == "names":
        certain = next((origin for origin, v in cells if v is not None and v.is_certain), None)
        if certain is not None:
            raise DataError(
                f"{certain}: the label cell is a vector of 0 and 1, or contains a duplicate label. Expected "
                "each label once (task.label_format=names). Correct the row, or set "
                "task.label_format=multi_hot"
            )
    # A file with names may be read by a model of named vectors.
    are_names = label_format == "names" or (names is not None and all(vector is None for _, vector in cells))
    if are_names or not _are_vectors(cells, label_format == "multi_hot"):
        return [replace(e, vector=None) if e.vector is not None else e for e in examples]
    first = next(origin for origin, _ in cells)
    size = next(v.size for _, v in cells if v is not None) if names is None else len(names)
    reason = f"as in {first}" if names is None else f"one per label ({listed(names)})"
    return [_with_labels(e, size, reason, names) for e in examples]


def _with_labels(example: Any, size: int, reason: str, names: tuple[str, ...] | None) -> Any:
    vector = example.vector
    if vector is None:
        return example
    _refuse_other_size(example.origin, vector, size, reason)
    return replace(example, gold=tuple(names[i] if names else str(i) for i in vector.ones))


def _are_vectors(cells: SequenceOf[tuple[Origin, Vector | None]], is_known: bool) -> bool:
    """Whether the cells of a table are multi-hot vectors rather than label names.

    They are vectors if every cell holds only 0 and 1 and at least one cell cannot be a list of labels, or if
    every cell is [0, 1] or [1, 0] and both occur: as lists, they would all be the same labels. If `is_known`,
    the labels are known to be vectors and every cell must be one. Raises DataError for a cell that is
    inconsistent with the others.
    """
    certain = [(origin, vector) for origin, vector in cells if vector is not None and vector.is_certain]
    others = [origin for origin, vector in cells if vector is None]
    if not certain and not is_known:
        return {(v.ones, v.size) if v else None for _, v in cells} == {((0,), 2), ((1,), 2)}
    if not others:
        return True
    if is_known or len(certain) > len(cells) / 2:
        first = f", as in {certain[0][0]}" if certain else ""
        raise DataError(
            f"{others[0]}: the labels are not a vector of 0 and 1{first}. Expected one entry of 0 or 1 per "
            "label in every row, all 0 if the row has no labels. Correct the row; if the cells hold label "
            "names, set task.label_format=names"
        )
    origin, vector = certain[0]
    if vector.duplicate:
        raise duplicate_label(origin, vector.duplicate)
    raise DataError(
        f"{origin}: the labels are booleans or floating-point numbers, but {others[0]} has label names. "
        f"Expected {EXPECTED}. Use the same format in every row"
    )


def _refuse_other_size(origin: Origin, vector: Vector, size: int, reason: str) -> None:
    """Raise DataError unless the vector has `size` entries; `reason` explains where that size comes from."""
    if vector.size != size:
        raise DataError(
            f"{origin}: the vector of 0 and 1 in the label column has {vector.size} entries. Expected "
            f"{size}, {reason}. Correct the row; if the cells hold label indices, set task.label_format=names"
        )


def duplicate_label(origin: Origin, name: str) -> DataError:
    """The error for a cell in which a label occurs more than once."""
    return DataError(
        f'{origin}: duplicate label "{name}". Expected each label once, or in every row a vector of 0 and 1 '
        "with one entry per label. Correct the row"
    )
