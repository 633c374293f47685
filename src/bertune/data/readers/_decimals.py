"""Numbers with decimal commas or thousands separators, as spreadsheets in many locales write them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal

# Groups of three digits, separated by spaces or apostrophes, neither of which can be a decimal mark.
_SPACED = re.compile(r"\d{1,3}(?:([ '\u2019])\d{3})(?:\1\d{3})*(?=[.,]\d|$)")
# Digits with at most one separator, and an exponent.
_SIMPLE = re.compile(r"\d*([.,]?)\d+(?:[eE][+-]?\d+)?|\d+([.,])")
# The separator of 1,234 may be a decimal mark or separate thousands. That of 0,234 and 12345,678 cannot.
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
# Groups with one separator, of three digits or, in Indian notation (12,34,567), of two and at last three; and
# a fraction with the other separator, without which there are at least two separators.
_GROUPED = re.compile(
    r"[1-9]\d{0,2}(?P<first>[.,])\d{3}(?:(?P=first)\d{3})*(?P<fraction>(?!(?P=first))[.,]\d*)?"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?P<indian>\.\d*)?"
)

# Numbers with points as thousands separators, as in 1.234, and numbers too small to need one.
_POINTED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
_SMALL = re.compile(r"0|[1-9]\d{0,2}")

_LONGEST = 40  # characters, more than fp64 numbers need: -1,234,567,890.123456789012e-100

Decimal = Literal["auto", "point", "comma"]


class Mark(Enum):
    """The evidence of a number for the decimal mark of its column."""

    POINT = "."
    COMMA = ","
    EITHER = "either"  # 1,234 or 1.234


def decimal_columns(
    records: Iterable[Mapping[str, Any]],
) -> tuple[frozenset[str], frozenset[str]]:
    """The columns with decimal commas, and those with decimal points, as far as some number shows it.

    Only texts are inspected. A column with numbers of both kinds counts as one with decimal points.
    """
    found: dict[str, set[Mark | None]] = {}
    for record in records:
        for column, cell in record.items():
            if is_short(cell):
                found.setdefault(column, set()).add(mark_of(plain_digits(cell)))
    points = frozenset(column for column, marks in found.items() if Mark.POINT in marks)
    commas = frozenset(column for column, marks in found.items() if Mark.COMMA in marks)
    return commas - points, points


def first_pointed(cells: Iterable[Any]) -> str | None:
    """The first number like 1.234 in a column in which all points may be thousands separators.

    None if there is no such number, or if some number shows the decimal mark (0.234, 1234.5) or has more than
    three digits without a point.
    """
    found = None
    for cell in cells:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        if not is_short(cell):
            return None
        number = plain_digits(cell)
        digits = number[1:] if number[:1] in ("+", "-") else number
        if _POINTED.fullmatch(digits):
            found = found or number
        elif not _SMALL.fullmatch(digits):
            return None
    return found


def is_short(cell: Any) -> bool:
    """Whether a cell is a text that is short enough for a number."""
    return isinstance(cell, str) and len(cell) < _LONGEST


def plain_digits(cell: str) -> str:
    """A cell with ASCII digits and signs, without spaces or apostrophes between thousands."""
    if not cell.isascii() and not any(map(_is_raised, cell)):  # full-width digits, no-break spaces, a minus
        cell = unicodedata.normalize("NFKC", cell).replace("\u2212", "-")
    cell = cell.strip()
    sign = cell[:1] if cell[:1] in ("+", "-") else ""
    spaced = _SPACED.match(cell, len(sign))
    return cell if spaced is None else sign + spaced[0].replace(spaced[1], "") + cell[spaced.end() :]


def _is_raised(character: str) -> bool:
    """Whether a character is a superscript, subscript or fraction, of which NFKC makes plain digits."""
    return unicodedata.decomposition(character).startswith(("<super>", "<sub>", "<fraction>"))


def mark_of(number: str) -> Mark | None:
    """The evidence of a number from `plain_digits`; None without separators, or if it is not a number."""
    digits = number[1:] if number[:1] in ("+", "-") else number
    if _EITHER.fullmatch(digits):
        return Mark.EITHER
    simple = _SIMPLE.fullmatch(digits)
    if simple is not None:
        sign = simple[1] or simple[2]
        return Mark(sign) if sign else None
    grouped = _GROUPED.fullmatch(digits)
    if grouped is None:
        return None
    thousands = grouped["first"] or ","
    return Mark.POINT if thousands == "," else Mark.COMMA


def with_point(cell: str, decimal: Decimal) -> str:
    """The number in a cell with a decimal point and without thousands separators, for `float`.

    `decimal` is the decimal mark of the column, if known. A cell that is not a number is returned unchanged.
    Raises ValueError with the reason, and what to do, for separators that are ambiguous or differ from those
    of the column.
    """
    number = plain_digits(cell)
    mark = mark_of(number)
    if mark is None:
        return number
    if mark is Mark.EITHER and decimal == "auto":
        if "." in number:
            return number
        thousands, fraction = number.replace(",", ""), number.replace(",", ".")
        raise ValueError(
            f"is ambiguous: it is {thousands} if the comma separates thousands, and {fraction} if it is a "
            f"decimal comma. Set data.decimal=point to read it as {thousands}, or data.decimal=comma to read "
            f"it as {fraction}"
        )
    if mark is not Mark.EITHER and decimal != "auto" and mark.name.lower() != decimal:
        raise ValueError(
            f"has a decimal {mark.name.lower()}, but the decimal mark of this column is a {decimal} "
            "(set with data.decimal, or inferred from other numbers). Write all numbers of the column alike"
        )
    is_comma = decimal == "comma" if mark is Mark.EITHER else mark is Mark.COMMA
    return number.replace(".", "").replace(",", ".") if is_comma else number.replace(",", "")
