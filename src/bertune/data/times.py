"""Reads a column of dates, times or numbers as points on one axis, so that rows can be ordered by time.

A column has one format. Numbers, ISO 8601 and other dates that start with the year, names of months, and days
before months separated by dots are unambiguous. Dates such as 03/04/2025 are read if another date of the
column, such as 25/04/2025, shows which number is the month.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bertune.data.rows import Origin
from bertune.errors import DataError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_MONTH_NUMBERS = {name: n % 12 + 1 for n, name in enumerate((*_MONTHS, *_LONG_MONTHS))} | {"sept": 9}
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_CLOCK = (
    r"(?:[T\s,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>[.,]\d+)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?\s*(?P<zone>z|utc|gmt|[+-]\d{2}:?\d{2})?(?:\s*\([a-z ]+\))?)?"
)


def _pattern(date: str) -> re.Pattern[str]:
    return re.compile(date + _CLOCK, re.IGNORECASE)


_YEAR_FIRST = _pattern(r"(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?:(?P=sep)(?P<day>\d{1,2}))?")
_DAY_DOT = _pattern(r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})")
_DAY_FIRST = _pattern(r"(?P<day>\d{1,2})(?P<sep>[-/])(?P<month>\d{1,2})(?P=sep)(?P<year>\d{4})")
_MONTH_FIRST = _pattern(r"(?P<month>\d{1,2})(?P<sep>[-/])(?P<day>\d{1,2})(?P=sep)(?P<year>\d{4})")
_DAY_NAME = _pattern(
    _WEEKDAY + r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[-\s.]+(?P<name>[a-z]{3,9})\.?,?[-\s]+(?P<year>\d{4})"
)
_NAME_DAY = _pattern(
    _WEEKDAY + r"(?P<name>[a-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})"
)
# As written by C and by the API of Twitter: Wed Aug 27 13:08:45 +0000 2008
_YEAR_LAST = re.compile(
    _WEEKDAY + r"(?P<name>[a-z]{3})\s+(?P<day>\d{1,2})\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2}))?\s+(?P<zone>utc|gmt|[+-]\d{4})?\s*(?P<year>\d{4})",
    re.IGNORECASE,
)

Reader = Callable[[str], datetime | float | None]


def times_of(cells: Sequence[str], origins: Sequence[Origin], column: str) -> list[float]:
    """The time of each row of a column [N]: seconds since 1970 in UTC, or the numbers themselves.

    Times without a zone count as UTC. Raises DataError with the row for an empty cell, for a cell in another
    format than the column, for a column in which day and month cannot be distinguished, and for a column in
    which only some times have a zone.
    """
    stripped = [cell.strip() for cell in cells]
    for cell, origin in zip(stripped, origins, strict=True):
        if not cell:
            raise DataError(
                f'{origin}: the time in column "{column}" (data.time) is empty. Fill it in or remove the row'
            )
    furthest = -1
    for read in (_number, _iso, _dotted, _named):
        found, at = _all_read(stripped, read)
        if found is not None:
            return _on_one_axis(found, origins, column)
        furthest = max(furthest, at)
    return _days_and_months(stripped, origins, column, furthest)


def _days_and_months(
    cells: Sequence[str], origins: Sequence[Origin], column: str, furthest: int
) -> list[float]:
    """The times of a column of dates such as 25/04/2025 or 04/25/2025."""
    days, at_day = _all_read(cells, _numeric(_DAY_FIRST))
    months, at_month = _all_read(cells, _numeric(_MONTH_FIRST))
    if days is not None and months is not None:
        if days == months:  # 01/01, 02/02
            return _on_one_axis(days, origins, column)
        row = next(n for n, pair in enumerate(zip(days, months, strict=True)) if pair[0] != pair[1])
        raise DataError(
            f'{origins[row]}: "{cells[row][:60]}" in column "{column}" (data.time) is ambiguous: no date of '
            "the column shows whether the day or the month comes first. Write the dates as YYYY-MM-DD"
        )
    found = days if days is not None else months
    if found is not None:
        return _on_one_axis(found, origins, column)
    row = max(furthest, at_day, at_month)
    before = f' The rows before it have another format, such as "{cells[0][:60]}".' if row else ""
    raise DataError(
        f'{origins[row]}: "{cells[row][:60]}" in column "{column}" (data.time) is not a date, a time or a '
        f"number in the format of the column.{before} Expected one format for all rows, such as 2025-01-31, "
        "2025-01-31T12:30:00Z, 31 Jan 2025, 31.01.2025, 2025 or seconds since 1970. Correct the "
        "cell, or remove the row"
    )


def _all_read(cells: Sequence[str], read: Reader) -> tuple[list[datetime | float] | None, int]:
    """The values of all cells, or None and the position of the first cell that `read` does not accept."""
    values = []
    for position, cell in enumerate(cells):
        value = read(cell)
        if value is None:
            return None, position
        values.append(value)
    return values, len(cells)


def _on_one_axis(values: Sequence[datetime | float], origins: Sequence[Origin], column: str) -> list[float]:
    """Seconds since 1970 for dates, unchanged numbers. Raises DataError if only some times have a zone."""
    moments = [value for value in values if isinstance(value, datetime)]
    if len(moments) < len(values):
        return [float(value) for value in values if not isinstance(value, datetime)]
    zoned = [moment.tzinfo is not None for moment in moments]
    if any(zoned) and not all(zoned):
        row = next(n for n, has_zone in enumerate(zoned) if has_zone != zoned[0])
        has = "has" if zoned[row] else "does not have"
        raise DataError(
            f'{origins[row]}: the time in column "{column}" (data.time) {has} a time zone, unlike the rows '
            "before it. Write all times with a zone, as in 2025-01-31T12:30:00+00:00, or all without"
        )
    return [_seconds(moment) for moment in moments]


def _seconds(moment: datetime) -> float:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH).total_seconds()


def _number(cell: str) -> float | None:
    """A number such as a year, 20250131, or seconds since 1970; no separators, which could be a date."""
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def _iso(cell: str) -> datetime | None:
    """ISO 8601, also without a day, and with slashes or dots."""
    match = _YEAR_FIRST.fullmatch(cell)
    if match is not None:
        return _moment(match, int(match["month"]))
    try:
        return datetime.fromisoformat(cell)  # also weeks: 2025-W05-5
    except ValueError:
        return None


def _dotted(cell: str) -> datetime | None:
    """31.01.2025: with dots, the day comes first in every country."""
    match = _DAY_DOT.fullmatch(cell)
    return None if match is None else _moment(match, int(match["month"]))


def _named(cell: str) -> datetime | None:
    """Dates with the English name of the month."""
    for pattern in (_DAY_NAME, _NAME_DAY, _YEAR_LAST):
        match = pattern.fullmatch(cell)
        month = None if match is None else _MONTH_NUMBERS.get(match["name"].casefold())
        if match is not None and month is not None:
            return _moment(match, month)
    return None


def _numeric(pattern: re.Pattern[str]) -> Reader:
    def read(cell: str) -> datetime | None:
        match = pattern.fullmatch(cell)
        return None if match is None else _moment(match, int(match["month"]))

    return read


def _moment(match: re.Match[str], month: int) -> datetime | None:
    """The date and time of a match; None if there is no such date or time."""
    parts = match.groupdict()
    hour = int(parts["hour"] or 0)
    if parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["half"].casefold() == "p" else 0)
    fraction = (parts.get("fraction") or ".0").replace(",", ".")
    try:
        moment = datetime(
            int(parts["year"]), month, int(parts["day"] or 1), hour, int(parts["minute"] or 0),
            int(parts["second"] or 0),
        )  # fmt: skip
    except ValueError:
        return None
    moment += timedelta(seconds=float(fraction))
    zone = (parts["zone"] or "").casefold()
    if not zone:
        return moment
    if zone in ("z", "utc", "gmt"):
        return moment.replace(tzinfo=UTC)
    sign = -1 if zone[0] == "-" else 1
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return moment.replace(tzinfo=UTC) - sign * offset
