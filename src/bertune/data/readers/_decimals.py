"""Detects columns whose numbers have a decimal comma, as spreadsheets in many European locales write them."""

import re
from collections.abc import Sequence

_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
# The comma of 1,234 may be a thousands separator. That of 0,234 and 12345,678 cannot.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")


def decimal_comma_columns(records: Sequence[Sequence[str]], columns: Sequence[str]) -> frozenset[str]:
    """The columns in which some number has an unambiguous decimal comma, and none a decimal point."""
    found = set()
    for position, column in enumerate(columns):
        cells = [cells[position].strip() for cells in records if position < len(cells)]
        ambiguous = {cell for cell in cells if _THOUSANDS.fullmatch(cell)}
        plain = [cell for cell in cells if cell not in ambiguous]
        if any(map(_COMMA.fullmatch, plain)) and not any(map(_POINT.fullmatch, plain)):
            found.add(column)
    return frozenset(found)


def with_point(cell: str, has_decimal_comma: bool) -> str:
    """The number in a cell with a decimal point; a cell that is not a number is returned unchanged.

    `has_decimal_comma` says whether its column has decimal commas. Raises ValueError with the reason for
    ambiguous separators.
    """
    if "," not in cell:
        if has_decimal_comma and _THOUSANDS.fullmatch(cell):
            raise ValueError(
                "other numbers in the column have a decimal comma, so the point may separate thousands"
            )
        return cell
    if has_decimal_comma and _COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    if _COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell):
        raise ValueError(
            "decimal commas are only read in delimited files, in columns whose first rows have no decimal"
            " point"
        )
    if _THOUSANDS.fullmatch(cell):
        raise ValueError("the comma may be a decimal comma or separate thousands")
    if re.fullmatch(r"[+-]?\d{1,3}(?:([.,'\s])\d{3})+[.,]\d+", cell):
        raise ValueError("thousands separators are not supported")
    return cell
