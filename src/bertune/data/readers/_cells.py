"""Owns how the lines of a delimited file become cells, and what is said about lines that do not."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertune.data.byte_streams import LINE_COST, LONGEST_LINE, MEBIBYTE
from bertune.data.encodings import text_lines
from bertune.data.readers._quotes import watched
from bertune.data.readers._shown import shortened
from bertune.errors import DataError

DELIMITER_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}

# Words of a sentence; a book has 100,000. A file without blank lines would be one sentence.
_MOST_WORDS = 1_000_000
_SHOWN = 200  # characters of a cell that an error may show
# csv keeps this limit for the whole process; 131072 is its default, and C's long is 32 bits on Windows.
_LONGEST_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Form:
    """How a delimited file is written."""

    encoding: str
    delimiter: str
    quoted: bool
    is_guess: bool = False  # that quotes are text; then cells that they may wrap are refused
    skips_spaces: bool = False  # spaces after a delimiter, as in a, "b, c"
    has_directive: bool = False  # the first line is sep=; or the like, which tells Excel the delimiter


def records(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Every record as its first physical line, from 1, and its cells.

    Blank lines are left out, and records of empty cells at the end of a file. A record may have more or fewer
    empty cells at its end than the first one, up to where the first one has something; it gets as many as the
    first. Raises DataError for a record with another number of cells and for broken quoting.
    """
    _allow_long_cells()
    pending: list[str] = []  # the lines of the record being read
    physical = text_lines(path, form.encoding)
    if form.has_directive:
        next(physical)
    is_watched = form.is_guess and not form.quoted
    before = int(form.has_directive)  # lines that csv does not see
    lines = (
        watched(physical, path, form.delimiter, pending, 1 + before)
        if is_watched
        else _remembered(physical, pending)
    )
    # Without strict, csv takes what follows a closing quote for text and joins rows without a word.
    reader = csv.reader(
        lines,
        delimiter=form.delimiter,
        quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        skipinitialspace=form.skips_spaces,
        strict=True,
    )
    line, num_cells, num_filled = 1 + before, -1, 0
    empty: list[int] = []  # the lines of records that are left out if none with something in it follows
    try:
        for cells in reader:
            if cells:
                if num_cells < 0:
                    num_cells, num_filled = len(cells), _num_filled(cells)
                elif len(cells) != num_cells:
                    padded = _padded(cells, num_cells, num_filled)
                    if padded is None:
                        raise DataError(_ragged(f"{path}, line {line}", cells, num_cells, pending, form))
                    cells = padded
                if num_cells > 1 and not any(cells):
                    empty.append(line)
                else:
                    for number in empty:
                        yield number, [""] * num_cells
                    empty.clear()
                    yield line, cells
            line = reader.line_num + 1 + before
            pending.clear()
    except csv.Error as error:
        raise DataError(_broken_quotes(path, line, pending, form)) from error


def _num_filled(cells: Sequence[str]) -> int:
    """The number of cells up to the last one that is not empty."""
    return max((i for i, cell in enumerate(cells, start=1) if cell), default=0)


def _padded(cells: list[str], num_cells: int, num_filled: int) -> list[str] | None:
    """A record with as many cells as the first; None where it lacks a filled one, or has one too many."""
    if len(cells) > num_cells:
        return cells[:num_cells] if not any(cells[num_cells:]) else None
    return cells + [""] * (num_cells - len(cells)) if len(cells) >= num_filled > 0 else None


def makes_table(lines: Sequence[str], delimiter: str, is_cut: bool) -> bool:
    """Whether a delimiter splits the first lines of a file into as many cells each, and more than one.

    `is_cut` says that the file goes on after them, perhaps in the middle of a quoted cell.
    """
    _allow_long_cells()
    for skips_spaces in (False, True):
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=skips_spaces)
        rows = [cells for cells in reader if cells]
        num_cells = {len(cells) for cells in (rows[:-1] if is_cut else rows)}
        if len(num_cells) == 1 and num_cells != {1}:
            return True
    return False


def spaces_before_quotes(lines: Sequence[str], delimiter: str) -> bool:
    """Whether quotes that stand behind a delimiter and spaces wrap cells in the first lines of a file.

    They do if some cell is written so, and every quote that opens behind spaces closes at the end of a cell.
    """
    spaced = re.compile(re.escape(delimiter) + ' +"')
    if not any(spaced.search(line) for line in lines):
        return False
    _allow_long_cells()
    at_start = (re.match(' +"', cell) for cells in csv.reader(lines, delimiter=delimiter) for cell in cells)
    if not any(at_start):
        return False  # they are all inside quoted cells
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        # The sample may end inside a quoted cell.
        return "unexpected end" in str(error)
    return True


def _allow_long_cells() -> None:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


def _remembered(lines: Iterable[str], pending: list[str]) -> Iterator[str]:
    """The lines, each also in `pending`. Raises csv.Error where a record grows without end."""
    num_held = 0
    for line in lines:
        if pending:
            num_held += len(line) + LINE_COST
            if num_held > LONGEST_LINE:
                raise csv.Error("a quoted cell is longer than the limit")
        else:
            num_held = 0
        pending.append(line)
        yield line


def refuse_endless(path: Path, line: int, num_words: int) -> None:
    """Raises DataError for a sentence of tagged words that goes on without a blank line."""
    if num_words > _MOST_WORDS:
        raise DataError(
            f"{path}, line {line}: the sentence that begins here has more than {_MOST_WORDS:,} words."
            " Expected a blank line after each sentence. Add blank lines, or split the file"
        )


def _ragged(place: str, cells: list[str], expected: int, lines: list[str], form: Form) -> str:
    has_quote = any('"' in line for line in lines)
    name = DELIMITER_NAMES.get(form.delimiter, f'"{form.delimiter}"')
    if lines[-1].endswith("\r"):
        advice = "A carriage return ends the line in its middle; remove it, or wrap the cell in quotes"
    elif has_quote and form.quoted:
        advice = "If quotes belong to the texts, say data.quoting=false; otherwise correct the line"
    elif has_quote:
        advice = "If quotes wrap cells, say data.quoting=true; otherwise correct the line"
    elif form.quoted and len(cells) > expected:
        advice = f"Wrap texts with a {name} in quotes, or say what separates cells, as in data.delimiter=tab"
    else:
        other = "comma" if form.delimiter == "\t" else "tab"
        advice = f"Correct the line, or say what separates cells, as in data.delimiter={other}"
    seen = f"expected {expected} cells as in the first line, found {len(cells)}: {shortened(lines[0])}"
    return f"{place}: {seen}. {advice}"


def _broken_quotes(path: Path, first_line: int, lines: list[str], form: Form) -> str:
    """What is wrong with the quotes of a record that csv refused."""
    if form.skips_spaces:
        spaced = re.compile(f'({re.escape(form.delimiter)}) +(?=")')
        lines = [spaced.sub(r"\1", line) for line in lines]
    at, rest, following = _last_quoted_cell(lines, form.delimiter)
    place = f"{path}, line {first_line + at}"
    remedy = "if quotes belong to the texts, say data.quoting=false"
    if following is None:
        closing = f"close it, or {remedy}"
        is_long = sum(len(line) + LINE_COST for line in lines) > LONGEST_LINE
        when = f"not closed within {LONGEST_LINE // MEBIBYTE} MiB" if is_long else "never closed"
        return f"{place}: the quote that opens here is {when}: {shortened(rest)}; {closing}"
    line, text = first_line + following[0], shortened(following[1], 30)
    return (
        f"{place}: the quote that opens here, {shortened(rest)}, is closed on line {line}, but {text}"
        f' follows instead of the next cell; write a quote inside quotes twice (""), or {remedy}'
    )


def _last_quoted_cell(lines: list[str], delimiter: str) -> tuple[int, str, tuple[int, str] | None]:
    """The last quoted cell of a record: index of the line it opens on, its text from there, and the
    index of the line and the text that wrongly follow its closing quote, if it is closed.

    Jumps from quote to quote: a record that is never closed may be as long as the limit.
    """
    opened, rest = 0, ""
    is_inside = False
    for index, line in enumerate(lines):
        column = 0
        while True:
            if is_inside:
                column = line.find('"', column)
                if column < 0:
                    break
                following = line[column + 1 : column + 2]
                if following == '"':
                    column += 2
                elif following in ("", delimiter, "\r", "\n"):
                    is_inside = False
                    column += 1
                else:
                    return opened, rest, (index, line[column + 1 :])
            else:
                is_at_start = line.startswith('"', column) and (column == 0 or line[column - 1] == delimiter)
                if not is_at_start:
                    at = line.find(delimiter + '"', column)
                    if at < 0:
                        break
                    column = at + 1
                is_inside, opened, rest = True, index, line[column : column + _SHOWN]
                column += 1
    return opened, rest, None
