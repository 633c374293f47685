"""Multi-hot vectors in label cells, and how to distinguish them from lists of label indices.

A single cell is ambiguous: [0, 1] may be two labels, or a vector with the second label, and 0010 may be the
name of a label. A whole column usually is not.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

from bertune.data.rows import Origin
from bertune.errors import DataError, listed

EXPECTED = 'a list of label names, as in ["joy", "fear"]'
_ENTRIES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "0.": 0, "1.": 1}
_ENTRIES |= {"True": 1, "False": 0, "true": 1, "false": 0, "TRUE": 1, "FALSE": 0, "T": 1, "F": 0}
_ENTRIES |= {"-1": -1, "-1.0": -1, "-1.": -1}
_ENTRIES |= {"yes": 1, "no": 0, "Yes": 1, "No": 0, "YES": 1, "NO": 0, "Y": 1, "N": 0}


@dataclass(frozen=True, slots=True)
class Vector:
    """A cell that holds only 0 and 1, one entry per label."""

    ones: tuple[int, ...]  # positions of the entries that are 1
    size: int  # number of entries
    duplicate: str = ""  # an entry that occurs more than once, which a list of labels must not have
    is_typed: bool = False  # the entries are booleans or floats, which a list of labels does not have
    digits: str = ""  # the cell, if it is written without separators, as in 0010

    @property
    def is_certain(self) -> bool:
        """Whether the cell can only be a vector."""
        return bool(self.duplicate) or self.is_typed


def vector_of(items: list[Any]) -> Vector | None:
    """The items as a vector if each one is 0, 1 or a boolean, possibly written as text; otherwise None.

    Each one may also be 1 or -1, where -1 stands for 0.
    """
    entries = [
        _ENTRIES.get(item.strip())
        if isinstance(item, str)
        else item
        if isinstance(item, int | float)
        else None
        for item in items
    ]
    is_signed = -1 in entries and len(entries) > 1
    if not entries or any(entry not in ((-1, 1) if is_signed else (0, 1)) for entry in entries):
        return None
    if is_signed:
        entries = [entry == 1 for entry in entries]
    duplicate = next((str(items[i]) for i, e in enumerate(entries) if e in entries[:i]), "")
    is_typed = any(isinstance(item, bool | float) for item in items)
    return Vector(tuple(i for i, e in enumerate(entries) if e), len(entries), duplicate, is_typed)


def vector_in_digits(cell: str) -> Vector | None:
    """The vector that a cell of at least two digits 0 and 1, such as 0010, may be; otherwise None.

    The cell may also be written as 0b0010, as '0010 with the apostrophe of a spreadsheet, or as FFTF.
    """
    digits = cell.removeprefix("'").removeprefix("0b")
    if len(digits) > 2 and not set(digits) - {"T", "F"}:
        digits = digits.replace("T", "1").replace("F", "0")
    if len(cell) < 2 or not digits or set(digits) - {"0", "1"}:
        return None
    cell = digits
    return Vector(tuple(i for i, digit in enumerate(cell) if digit == "1"), len(cell), digits=cell)


def with_vectors_read(
    examples: SequenceOf[Any],
    label_format: str,
    names: tuple[str, ...] | None,
    named: Callable[[tuple[str, ...], Origin], tuple[str, ...]],
) -> list[Any]:
    """Decode the multi-hot vectors of a table into labels, or drop them if the cells hold label names.

    `names` are the labels in the order of the vector entries; None stands for "0", "1" and so on. `named`
    gives the labels of cells such as 0010 that turn out to hold label names or indices. Raises DataError
    unless the cells are either all vectors of the same size or all label names.
    """
    is_known = label_format == "multi_hot"
    labelled = [(e.origin, e.gold, e.vector) for e in examples if e.gold is not None]
    if not is_known and any(v is not None and v.digits for _, _, v in labelled):
        is_known = label_format == "auto" and _are_digits(labelled, names)
        if not is_known:
            examples = [_without_digits(e, named) for e in examples]
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
    if are_names or not _are_vectors(cells, is_known):
        return [replace(e, vector=None) if e.vector is not None else e for e in examples]
    first = next(origin for origin, _ in cells)
    size = next(v.size for _, v in cells if v is not None) if names is None else len(names)
    reason = f"as in {first}" if names is None else f"one per label ({listed(names)})"
    return [_with_labels(e, size, reason, names) for e in examples]


def _without_digits(example: Any, named: Callable[[tuple[str, ...], Origin], tuple[str, ...]]) -> Any:
    if example.vector is None or not example.vector.digits:
        return example
    return replace(example, gold=named(example.gold, example.origin), vector=None)


def _with_labels(example: Any, size: int, reason: str, names: tuple[str, ...] | None) -> Any:
    vector = example.vector
    if vector is None:
        return example
    _refuse_other_size(example.origin, vector, size, reason)
    return replace(example, gold=tuple(names[i] if names else str(i) for i in vector.ones))


def _are_digits(
    cells: SequenceOf[tuple[Origin, tuple[str, ...], Vector | None]], names: tuple[str, ...] | None
) -> bool:
    """Whether the cells of a table, some of which are digits, are vectors rather than label names.

    They are if all have the same number of digits, or some begin with 0 and none is a label name. Raises
    DataError if they may be either.
    """
    digits = [(origin, vector) for origin, _, vector in cells if vector is not None and vector.digits]
    others = [(labels, vector) for _, labels, vector in cells if vector is None or not vector.digits]
    has_zeros = any(vector.digits[0] == "0" for _, vector in digits)
    origin, longest = max(digits, key=lambda cell: cell[1].size)
    fits = names is None or len(names) == longest.size
    if has_zeros:  # neither numbers nor label indices
        no_names = all(vector is not None or not labels for labels, vector in others)
        return no_names and len(digits) > len(others)
    if not fits:
        return False  # label indices
    if not others and len({vector.size for _, vector in digits}) == 1:
        if longest.size > 2 or names is not None:
            return True
        raise _ambiguous(origin, longest, f'a vector of 2 entries, or the label "{longest.digits}"')
    if longest.size > 2 and all(vector is not None and set(x) <= {"0", "1"} for x, vector in others):
        raise _ambiguous(
            origin,
            longest,
            "a vector from which zeros on the left were removed, as spreadsheets and pandas.read_csv without "
            f'dtype=str do, or the label "{longest.digits}"',
        )
    return False


def _ambiguous(origin: Origin, vector: Vector, readings: str) -> DataError:
    return DataError(
        f'{origin}: the label cell "{vector.digits}" is ambiguous: {readings}. Write vectors with one digit '
        f"for each label in every row, as in {vector.digits.zfill(4)}, and set task.label_format=multi_hot; "
        "if the cells hold label names, set task.label_format=names"
    )


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


def naming_hint(labels: SequenceOf[str]) -> str:
    """How to name labels that are only known by their positions."""
    is_numbered = all(label == str(number) for number, label in enumerate(labels))
    return "; set task.names=first,second,… to name them" if is_numbered else ""
