"""Owns how the labels of a row are written in a table: in one cell, or in a column each."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from bertune.data.columns import cell_text, refuse_half_characters
from bertune.data.readers._objects import JsonFault, loads, python_literal
from bertune.data.rows import Row
from bertune.errors import ConfigError, DataError

_YES, _NO = {"1", "1.0", "true", "yes", "y", "x"}, {"0", "0.0", "false", "no", "n"}
_SIDE_BY_SIDE = re.compile(r"['\"]\s+['\"]")


def labels_in(row: Row, column: str, separator: str) -> list[str]:
    """The labels in a cell: a list, one written out as text, or names with a separator between them.

    Raises DataError.
    """
    value = row.values.get(column)
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if column in row.values and (value is None or (isinstance(value, float) and math.isnan(value))):
        raise DataError(
            f'{row.origin}: what is missing in column "{column}" says nothing; write [] or an empty text for '
            "no label, or remove the row"
        )
    if not isinstance(value, list | tuple):
        cell = cell_text(row, column).strip()
        if not cell.startswith("["):
            return [part for part in (piece.strip() for piece in cell.split(separator)) if part]
        value = _listed(cell, f'{row.origin}: "{cell[:60]}" in column "{column}"')
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
        raise DataError(f'{row.origin}: column "{column}" holds more than a list of names: {value!r:.60}')
    names = [str(item).strip() for item in value]
    for name in names:
        refuse_half_characters(row, column, name)
    if "" in names:
        raise DataError(f'{row.origin}: a name in the list of column "{column}" is empty; [] is no label')
    return names


def is_yes(row: Row, column: str) -> bool:
    """Whether a cell says that the label its column is named for holds. Raises DataError."""
    cell = cell_text(row, column).strip().casefold()
    if not cell:
        raise DataError(f'{row.origin}: there is nothing in column "{column}"; write 1 or 0')
    if cell not in _YES | _NO:
        raise DataError(f'{row.origin}: "{cell[:60]}" in column "{column}" is neither 1 nor 0')
    return cell in _YES


def names_in(file: str) -> tuple[str, ...]:
    """The names of labels in a file, one a line. Raises ConfigError."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"task.label_file={file}: it cannot be read ({error})") from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, start=1):
        if not name or name in names[: number - 1]:
            what = f'"{name}" stands there twice' if name else "there is no name, and lines count"
            raise ConfigError(f"task.label_file={file}, line {number}: {what}")
    return tuple(names)


def _listed(cell: str, place: str) -> list[Any]:
    """The list that is written out in a cell, as JSON or as Python prints it. Raises DataError."""
    try:
        return list(loads(cell))
    except JsonFault as error:
        raise DataError(f"{place}: {error.msg}. {error.remedy}") from error
    except json.JSONDecodeError as error:
        reason = error.msg
    try:
        # Texts side by side, as numpy prints them, would be one text to Python.
        found = None if _SIDE_BY_SIDE.search(cell) else python_literal(cell)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise DataError(f"{place} begins like a JSON list and is none ({reason})")
    return found
