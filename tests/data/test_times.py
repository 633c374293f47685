"""Dates, times and numbers as points on one axis."""

from datetime import UTC, datetime

import pytest

from bertune.data.rows import Origin
from bertune.data.times import times_of
from bertune.errors import DataError


def read(*cells: str) -> list[float]:
    return times_of(cells, [Origin("log.csv", line) for line in range(2, len(cells) + 2)], "date")


def seconds(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2025-01-31", seconds(2025, 1, 31)),
        ("2025-01-31T12:30:00Z", seconds(2025, 1, 31, 12, 30)),
        ("2025-01-31 12:30:00+02:00", seconds(2025, 1, 31, 10, 30)),
        ("2025/1/31", seconds(2025, 1, 31)),
        ("2025-06", seconds(2025, 6, 1)),
        ("2025-W05-5", seconds(2025, 1, 31)),
        ("31.01.2025 13:00", seconds(2025, 1, 31, 13)),
        ("31 Jan 2025", seconds(2025, 1, 31)),
        ("January 31st, 2025", seconds(2025, 1, 31)),
        ("31/01/2025", seconds(2025, 1, 31)),
        ("01/31/2025 1:05 PM", seconds(2025, 1, 31, 13, 5)),
        ("Fri, 31 Jan 2025 12:00:00 -0500", seconds(2025, 1, 31, 17)),
        ("Wed Aug 27 13:08:45 +0000 2008", seconds(2008, 8, 27, 13, 8, 45)),
        ("2025", 2025.0),
        ("-1.5e3", -1500.0),
    ],
)
def test_common_formats_are_read(cell: str, expected: float) -> None:
    assert read(cell) == [expected]


def test_one_date_of_the_column_shows_which_number_is_the_month() -> None:
    assert read("03/04/2025", "25/04/2025") == [seconds(2025, 4, 3), seconds(2025, 4, 25)]
    assert read("03/04/2025", "04/25/2025") == [seconds(2025, 3, 4), seconds(2025, 4, 25)]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("01/01/2025", "03/04/2025"), r'line 3: "03/04/2025" .* is ambiguous'),
        (("2025-01-31", ""), r"line 3: the time in column .* is empty"),
        (("2025-01-31", "yesterday"), r'line 3: "yesterday" .* such as "2025-01-31"'),
        (("25/04/2025", "31/02/2025"), r'line 3: "31/02/2025"'),
        (("03/04/25",), r'line 2: "03/04/25"'),  # the year could be any of the three
        (("2025-01-31T10:00Z", "2025-01-31T10:00"), r"line 3: .* does not have a time zone"),
        (("2025", "2025-01-31"), r'line 3: "2025-01-31"'),
    ],
)
def test_other_columns_are_refused_with_the_line(cells: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=rf"log\.csv, {message}"):
        read(*cells)
