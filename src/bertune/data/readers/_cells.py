"""Splits the lines of a delimited file into cells, with errors for lines that cannot be split."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertune.data.byte_streams import LINE_COST, LONGEST_LINE, MEBIBYTE
from bertune.data.encodings import text_lines
from bertune.data.readers._quotes import watched
from bertune.data.readers._shown import shortened
from bertune.errors import DataError, counted

DELIMITER_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}

# Words of a sentence; a whole book has 100,000. A file without blank lines is a single sentence.
_MOST_WORDS = 1_000_000
_SHOWN = 200  # characters of a cell that are kept for an error message
# A limit of the csv module for the whole process. Its default is 131072; C's long has 32 bits on Windows.
_LONGEST_CELL = 2**31 - 1


# A cell such as ="0010", which keeps a spreadsheet from reading the text as a number.
_FORMULA = re.compile(r'\A="((?:[^"]|"")*)"\Z')


@dataclass(frozen=True, slots=True)
class Form:
    """The dialect of a delimited file."""

    encoding: str
    delimiter: str
    quoted: bool
    is_guess: bool = False  # quotes are assumed to be text; cells that they may enclose are refused
    skips_spaces: bool = False  # ignore spaces after a delimiter, as in a, "b, c"
    has_directive: bool = False  # the first line is a directive such as sep=; which tells Excel the delimiter


def records(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """The records of a file, each as the number of its first physical line (from 1) and its cells.

    Blank lines are skipped, and so are records of empty cells at the end of the file. A record may have more
    or fewer trailing empty cells than the first one, if it has all the columns that are filled there; it is
    padded or cut to the same length. Raises DataError for a record with another number of cells and for
    invalid quoting.
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
    # Without strict, csv accepts text after a closing quote and silently joins rows.
    reader = csv.reader(
        lines,
        delimiter=form.delimiter,
        quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        skipinitialspace=form.skips_spaces,
        strict=True,
    )
    line, num_cells, num_filled = 1 + before, -1, 0
    empty: list[int] = []  # line numbers of empty records, which are dropped unless a filled record follows
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
                    yield line, [_FORMULA.sub(_without_formula, cell) for cell in cells]
            line = reader.line_num + 1 + before
            pending.clear()
    except csv.Error as error:
        raise DataError(_broken_quotes(path, line, pending, form)) from error


def _without_formula(match: re.Match[str]) -> str:
    return match[1].replace('""', '"')


def _num_filled(cells: Sequence[str]) -> int:
    """The number of cells up to the last non-empty one."""
    return max((i for i, cell in enumerate(cells, start=1) if cell), default=0)


def _padded(cells: list[str], num_cells: int, num_filled: int) -> list[str] | None:
    """The record with as many cells as the first one; None if filled cells are missing or superfluous."""
    if len(cells) > num_cells:
        return cells[:num_cells] if not any(cells[num_cells:]) else None
    return cells + [""] * (num_cells - len(cells)) if len(cells) >= num_filled > 0 else None


def makes_table(lines: Sequence[str], delimiter: str, is_cut: bool) -> bool:
    """Whether a delimiter splits the first lines of a file into the same number of cells, at least two.

    `is_cut` says that the file continues after these lines, which may end inside a quoted cell.
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
    """Whether quotes enclose cells even after a delimiter and spaces, judging by the first lines of a file.

    They do if there is such a cell, and every quote that opens after spaces closes at the end of its cell.
    """
    spaced = re.compile(re.escape(delimiter) + ' +"')
    if not any(spaced.search(line) for line in lines):
        return False
    _allow_long_cells()
    at_start = (re.match(' +"', cell) for cells in csv.reader(lines, delimiter=delimiter) for cell in cells)
    if not any(at_start):
        return False  # all of them are inside quoted cells
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
    """Yield the lines, and append each to `pending`. Raises csv.Error for a record over the limit."""
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


def refuse_long_sentence(path: Path, line: int, num_words: int) -> None:
    """Raises DataError for a sentence of tagged words with more than the maximum number of words."""
    if num_words > _MOST_WORDS:
        raise DataError(
            f"{path}, line {line}: the sentence that starts here has more than {_MOST_WORDS:,} words."
            " Expected a blank line after each sentence. Add blank lines, or split the file"
        )


def _ragged(place: str, cells: list[str], expected: int, lines: list[str], form: Form) -> str:
    has_quote = any('"' in line for line in lines)
    name = DELIMITER_NAMES.get(form.delimiter, f'"{form.delimiter}"')
    if lines[-1].endswith("\r"):
        advice = "The line is split by a carriage return; remove it, or enclose the cell in quotes"
    elif has_quote and form.quoted:
        advice = "If the quotes are part of the texts, set data.quoting=false; otherwise correct the line"
    elif has_quote:
        advice = "If the quotes enclose cells, set data.quoting=true; otherwise correct the line"
    elif form.quoted and len(cells) > expected:
        advice = (
            f"Enclose texts that contain a {name} in quotes, or set the delimiter, as in data.delimiter=tab"
        )
    else:
        other = "comma" if form.delimiter == "\t" else "tab"
        advice = f"Correct the line, or set the delimiter, as in data.delimiter={other}"
    if expected == 1:
        advice = f"If the lines above it are a title, remove them. Otherwise, {advice[0].lower()}{advice[1:]}"
    expects = f"expected {counted(expected, 'cell')} as in the first line"
    seen = f"{expects}, found {len(cells)}: {shortened(lines[0])}"
    return f"{place}: {seen}. {advice}"


def _broken_quotes(path: Path, first_line: int, lines: list[str], form: Form) -> str:
    """The error message for a record whose quotes csv refused."""
    if form.skips_spaces:
        spaced = re.compile(f'({re.escape(form.delimiter)}) +(?=")')
        lines = [spaced.sub(r"\1", line) for line in lines]
    at, rest, following = _last_quoted_cell(lines, form.delimiter)
    place = f"{path}, line {first_line + at}"
    remedy = "if quotes are part of the texts, set data.quoting=false"
    if following is None:
        is_long = sum(len(line) + LINE_COST for line in lines) > LONGEST_LINE
        when = f"not closed within {LONGEST_LINE // MEBIBYTE} MiB" if is_long else "never closed"
        return f"{place}: the quote that opens here is {when}: {shortened(rest)}. Close it, or {remedy}"
    line, text = first_line + following[0], shortened(following[1], 30)
    return (
        f"{place}: the quote that opens here, {shortened(rest)}, is closed on line {line}, but {text}"
        f' follows instead of a delimiter. Double a quote inside quotes (""), or {remedy}'
    )


def _last_quoted_cell(lines: list[str], delimiter: str) -> tuple[int, str, tuple[int, str] | None]:
    """The last quoted cell of a record, as the index of its first line, its beginning, and what follows it.

    The last item is the index of the line and the text that wrongly follow the closing quote, or None if the
    cell is never closed. Searches from quote to quote, because such a record may be as long as the limit.
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
