"""Owns how the lines of a delimited file become cells, and what is said about lines that do not."""

import csv
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


def records(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Every record as its first physical line, from 1, and its cells; blank lines are left out.

    Raises DataError for a record with another number of cells than the first one and for broken quoting.
    """
    _allow_long_cells()
    pending: list[str] = []  # the lines of the record being read
    physical = text_lines(path, form.encoding)
    is_watched = form.is_guess and not form.quoted
    lines = watched(physical, path, form.delimiter, pending) if is_watched else _remembered(physical, pending)
    # Without strict, csv takes what follows a closing quote for text and joins rows without a word.
    reader = csv.reader(
        lines,
        delimiter=form.delimiter,
        quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    line, num_cells = 1, -1
    try:
        for cells in reader:
            if len(cells) == num_cells:
                yield line, cells
            elif cells:
                if num_cells >= 0:
                    raise DataError(_ragged(f"{path}, line {line}", cells, num_cells, pending, form))
                num_cells = len(cells)
                yield line, cells
            line = reader.line_num + 1
            pending.clear()
    except csv.Error as error:
        raise DataError(_broken_quotes(path, line, pending, form.delimiter)) from error


def makes_table(lines: Sequence[str], delimiter: str, is_cut: bool) -> bool:
    """Whether a delimiter splits the first lines of a file into as many cells each, and more than one.

    `is_cut` says that the file goes on after them, perhaps in the middle of a quoted cell.
    """
    _allow_long_cells()
    rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells]
    num_cells = {len(cells) for cells in (rows[:-1] if is_cut else rows)}
    return len(num_cells) == 1 and num_cells != {1}


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


def _broken_quotes(path: Path, first_line: int, lines: list[str], delimiter: str) -> str:
    """What is wrong with the quotes of a record that csv refused."""
    at, rest, following = _last_quoted_cell(lines, delimiter)
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
