"""Finds the columns of a table whose numbers have a decimal comma, as European spreadsheets write them."""

import re
from collections.abc import Sequence

_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
# 1,234 may be a thousand with a separator. 0,234 and 12345,678 cannot.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")


def decimal_comma_columns(records: Sequence[Sequence[str]], columns: Sequence[str]) -> frozenset[str]:
    """The columns in which some number can only have a decimal comma, and none can only have a point."""
    found = set()
    for position, column in enumerate(columns):
        cells = [cells[position].strip() for cells in records if position < len(cells)]
        unsure = {cell for cell in cells if _THOUSANDS.fullmatch(cell)}
        plain = [cell for cell in cells if cell not in unsure]
        if any(map(_COMMA.fullmatch, plain)) and not any(map(_POINT.fullmatch, plain)):
            found.add(column)
    return frozenset(found)


def with_point(cell: str, has_decimal_comma: bool) -> str:
    """The number in a cell with a decimal point; a cell that is not a number stays as it is.

    `has_decimal_comma` is whether its column was found to have decimal commas. Raises ValueError, which says
    why, where separators leave the number in doubt.
    """
    if "," not in cell:
        if has_decimal_comma and _THOUSANDS.fullmatch(cell):
            raise ValueError(
                "other numbers of the column have a decimal comma, so the point may separate thousands"
            )
        return cell
    if has_decimal_comma and _COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    if _COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell):
        raise ValueError(
            "decimal commas are read in delimited files, where the first rows of the column have no decimal"
            " point"
        )
    if _THOUSANDS.fullmatch(cell):
        raise ValueError("the comma may be a decimal comma or separate thousands")
    if re.fullmatch(r"[+-]?\d{1,3}(?:([.,'\s])\d{3})+[.,]\d+", cell):
        raise ValueError("thousands separators are not read")
    return cell
