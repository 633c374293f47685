"""Detects whether the quotes in a tab-separated file enclose cells or are part of the texts.

Both occur in .tsv files: pandas and spreadsheets enclose cells in quotes, whereas
GLUE does not escape the quotes in its sentences.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from bertune.data.readers._shown import shortened
from bertune.errors import DataError

# A quote that is not closed within this many lines is regarded as part of the text.
_MOST_LINES = 1000
_BROKEN = -2


class QuoteReading:
    """Reads lines as if quotes enclosed cells, and collects evidence for and against it."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self.num_cells = 0  # of the first record
        self._cells: list[bool] = []  # for the cells of the current record: whether each is quoted
        self.is_open = False  # inside a quoted cell
        self._first_line = 0  # of the current record
        self._opened = (0, "")  # line number and beginning of the last quoted cell
        self._has_reason = False  # the current record has a tab, a line break or "" inside quotes
        self._num_records = 0
        self._num_quoted: Counter[int] = Counter()  # by column
        self._quoted_first: set[int] = set()  # columns that are quoted in the first record, perhaps a header
        self.num_broken = 0  # cells whose quotes cannot enclose them
        self.num_wrapped = 0  # records with a quoted cell whose content requires quotes
        # The first cell of several lines: line where it opens, its beginning, line where it closes.
        self.over_lines: tuple[int, str, int] | None = None

    def feed(self, number: int, line: str) -> None:
        """Process the next line of the file."""
        if not self.is_open:
            if not line.strip("\r\n"):
                return
            self._cells, self._first_line, self._has_reason = [], number, False
        at = 0
        if self.is_open:
            self._has_reason = True
            at = self._close(line, 0, number)
        while at >= 0 and not self.is_open:
            at = self._next_cell(line, at, number)
        if self.is_open and (at == _BROKEN or number - self._opened[0] >= _MOST_LINES):
            self.num_broken += 1
            self.is_open = False
        elif not self.is_open:
            self._end_record(number)

    def _next_cell(self, line: str, at: int, number: int) -> int:
        """Process the cell at a position. Returns the position of the next cell, or -1 if the line ends."""
        if line.startswith('"', at):
            self._opened = (number, line[at : at + 200])
            self.is_open = True
            return self._close(line, at + 1, number)
        self._cells.append(False)
        end = line.find(self._delimiter, at)
        return end + 1 if end >= 0 else -1

    def _close(self, line: str, at: int, number: int) -> int:
        """Continue inside a quoted cell. Returns the position of the next cell, or -1 if the line ends."""
        start = at
        while True:
            at = line.find('"', at)
            if at < 0:
                return -1  # the cell continues on the next line
            following = line[at + 1 : at + 2]
            if following == '"':
                # "" alone is an empty cell, not a doubled quote
                self._has_reason = True
                at += 2
                continue
            if following not in ("", self._delimiter, "\r", "\n"):
                return _BROKEN
            self.is_open = False
            self._cells.append(True)
            self._has_reason = self._has_reason or self._delimiter in line[start:at]
            return at + 2 if following == self._delimiter else -1

    def _end_record(self, number: int) -> None:
        self.num_cells = self.num_cells or len(self._cells)
        if len(self._cells) != self.num_cells:
            self.num_broken += any(self._cells)
            return
        self.num_wrapped += self._has_reason
        if self._opened[0] >= self._first_line and self._opened[0] < number and self.over_lines is None:
            self.over_lines = (*self._opened, number)
        quoted = {column for column, is_quoted in enumerate(self._cells) if is_quoted}
        if not self._num_records:
            self._quoted_first = quoted
        self._num_quoted.update(quoted)
        self._num_records += 1

    @property
    def is_confirmed(self) -> bool:
        """Whether the quotes enclose cells: the content of a cell requires it, or a column is always quoted.

        A single quoted cell below an unquoted header does not count as a quoted column.
        """
        num_below = {n: count - (n in self._quoted_first) for n, count in self._num_quoted.items()}
        is_column = any(
            count == self._num_records - 1 and (count > 1 or (count == 1 and column in self._quoted_first))
            for column, count in num_below.items()
        )
        return not self.num_broken and (self.num_wrapped > 0 or is_column)


def watched(
    lines: Iterable[str], path: Path, delimiter: str, pending: list[str], first_line: int = 1
) -> Iterator[str]:
    """Yield lines whose quotes are read as text, and append each to `pending`. Numbers start at `first_line`.

    Raises DataError if the quotes may enclose cells after all: a quote opens on one line and closes on
    another, and the record has as many cells as the first line. If most quotes cannot enclose cells, all are
    text.
    """
    reading = QuoteReading(delimiter)
    opening = delimiter + '"'
    is_inside = True  # inside a quoted cell, or before the end of the first record
    for number, line in enumerate(lines, start=first_line):
        if is_inside or ('"' in line and (line.startswith('"') or opening in line)):
            reading.feed(number, line)
            if reading.over_lines is not None:
                if reading.num_wrapped >= reading.num_broken:
                    raise DataError(_ambiguous(path, reading.over_lines))
                reading.over_lines = None
            is_inside = reading.is_open or not reading.num_cells
        pending.append(line)
        yield line


def _ambiguous(path: Path, cell: tuple[int, str, int]) -> str:
    opened, start, closed = cell
    return (
        f"{path}, line {opened}: the quote that opens here, {shortened(start)}, closes on line {closed}."
        " It may enclose a cell of several lines, or be part of the text. Set data.quoting=true if quotes"
        " enclose cells, or data.quoting=false if they are part of the texts"
    )
