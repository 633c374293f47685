"""Owns the table: named columns over rows that can be read again, whatever format they come from."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from bertune import registry
from bertune.config import DataConfig
from bertune.data.byte_streams import LONGEST_LINE
from bertune.data.encodings import endless_line, nul_found
from bertune.data.folders import is_pattern, parquet_files
from bertune.data.formats import choose_reader, read_as
from bertune.data.readers import jsonl
from bertune.data.rows import NestedValues, Origin, Row, paths_in
from bertune.errors import DataError, did_you_mean, listed

_PIECE = 1 << 20  # characters of a line that are taken from a stream at once
# Rows in which columns are looked for, where each row names its own; more would delay large files.
SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class Table:
    """Rows and the names of their columns; "0", "1" … where the source names none."""

    name: str
    columns: tuple[str, ...]
    has_header: bool  # whether the source itself names the columns
    rows: Callable[[], Iterator[Row]]  # each call reads from the first row on
    notes: tuple[str, ...] = ()  # what was inferred, a short sentence each
    text: tuple[str, ...] | None = None  # which columns are the text and the label, where the source has no
    label: str | None = None  # names for them: texts in a list beside labels
    nested: tuple[str, ...] = ()  # dotted paths of what objects in its cells hold, such as data.text
    ungrouped: "Table | None" = None  # the same with the rows of the source, where a task has grouped them

    def has(self, name: str) -> bool:
        """Whether a column or path has exactly this name."""
        return name in self.columns or name in self.nested


def open_table(
    source: str | Path,
    options: DataConfig,
    known_names: Collection[str],
    like: str = "",
    likely_header: bool = False,
) -> Table:
    """The table in a data file, a folder or a pattern of Parquet files, its first row already checked.

    `known_names` are column names that count as evidence of a header line. A file whose ending stands for no
    format is read like one that ends in `like`. With `likely_header` the first line of a single column is
    taken for a header where it looks like one. Raises DataError for a file that is missing, empty, of no
    known format or broken at its start; `rows` raises it for what follows.
    """
    path = Path(source)
    refuse_long_name(path)
    if is_pattern(path):
        parquet_files(path)  # refuses a pattern that stands for nothing
    elif not path.exists():
        raise DataError(_missing(path))
    suffix = read_as(path, options, like)
    reader = choose_reader(path, options, suffix)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); give a file with at least one row")
    has_header, notes, lone = True, (), "holds no rows"
    names_own_columns = not hasattr(reader, "settle")
    if not names_own_columns:
        options, notes = reader.settle(path, options, known_names, suffix, likely_header)
        has_header = options.header is True
        lone = "has no rows below its header line" if has_header else lone
    read = registry.exported(reader, "read")
    if not callable(read):
        raise DataError(f"{reader.__file__}: read must be a function, read(path, options)")

    def rows() -> Iterator[Row]:
        return iter(read(path, options))

    found = rows()
    first = next(found, None)
    if first is None:
        raise DataError(f"{path} {lone}; give a file with at least one row")
    _refuse_other_rows(reader, first)
    sample = islice(found, SAMPLE_ROWS - 1) if names_own_columns else iter(())
    return with_columns(Table(str(source), (), has_header, rows, notes), chain([first], sample))


def with_columns(table: Table, sample: Iterator[Row], names: Sequence[str] = ()) -> Table:
    """The table with `names`, and what further columns its first rows have, as its columns.

    A row without one of the columns has None there. Rows after the first may be broken: `rows` says so.
    """
    columns, nested = dict.fromkeys(names), dict[str, None]()
    with contextlib.suppress(DataError):
        for row in sample:
            columns |= dict.fromkeys(row.values)
            paths_in(row.values, nested)
    order = tuple(columns)

    def rows() -> Iterator[Row]:
        for row in table.rows():
            values = completed(row.values, order, bool(nested))
            yield row if values is row.values else replace(row, values=values)

    return replace(table, columns=order, nested=tuple(nested), rows=rows)


def completed(
    values: Mapping[str, Any], columns: Iterable[str], is_nested: bool = False
) -> Mapping[str, Any]:
    """The values with None for each absent column, and with paths where an object or a list is among them.

    `is_nested` says that other rows have such, so that their paths are known in this one too.
    """
    absent = [column for column in columns if column not in values]
    is_nested = is_nested or any(isinstance(value, dict | list) for value in values.values())
    if not absent and not is_nested:
        return values
    whole = {**dict.fromkeys(columns), **values} if absent else values
    return NestedValues(whole) if is_nested else whole


def refuse_long_name(path: Path) -> None:
    """Raises DataError where a text stands in the place of a file's name."""
    try:
        path.exists()
    except OSError as error:
        raise DataError(
            f'there is no file "{str(path)[:40]}…", nor can there be ({error.strerror}); give a file, no text'
        ) from error


def open_lines(stream: TextIO, name: str, text_columns: tuple[str, ...]) -> Table:
    """The table in a stream such as standard input, read once and no further than asked for.

    JSON objects if the first line that is not blank starts with "{", else a line has the texts of
    `text_columns`, tabs between them. Raises DataError.
    """
    lines = _stream_lines(stream, name)
    head: list[tuple[int, str]] = []
    for line in lines:
        head.append(line)
        if line[1].strip():
            break
    else:
        raise DataError(f"{name} is empty; give one text a line, or one JSON object a line")
    number, start = head[-1][0], head[-1][1].strip()
    if start == "[" or start.startswith("[{"):
        raise DataError(
            f"{name}, line {number}: a list of objects begins here; give one object a line, as jq -c .[]"
            " writes them, or the file itself, not through a pipe"
        )
    if not start.startswith("{"):
        return Table(name, text_columns, False, _once(_plain_rows(chain(head, lines), name, text_columns)))
    rows = jsonl.rows_of_lines((line for line in chain(head, lines) if line[1]), name)
    first = next(rows)
    return with_columns(Table(name, (), True, _once(chain([first], rows))), iter([first]))


def _refuse_other_rows(reader: ModuleType, first: object) -> None:
    if not isinstance(first, Row):
        raise DataError(
            f"{reader.__file__}: read() must yield bertune.data.rows.Row; it yielded a {type(first).__name__}"
        )


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}: the folder {folder} does not exist (looked in {Path.cwd()})"
    there = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    hint = did_you_mean(path.name, there) or f" {folder.absolute()} holds {listed(there) or 'nothing'}"
    return f"there is no file {path}.{hint}"


def _once(rows: Iterator[Row]) -> Callable[[], Iterator[Row]]:
    left = [rows]

    def take() -> Iterator[Row]:
        assert left, "a stream can be read only once"
        return left.pop()

    return take


def _stream_lines(stream: TextIO, name: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        for number, raw in enumerate(_physical_lines(stream), start=1):
            line = raw.removeprefix("\ufeff") if number == 1 else raw
            if "\0" in line:
                raise DataError(nul_found(name, number, line))
            if len(raw) > LONGEST_LINE:
                raise DataError(endless_line(f"{name}, line {number}"))
            yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02X}"
        raise DataError(
            f"{name}, after line {number}: {byte} is not {error.encoding.upper()}; write the texts as"
            " UTF-8, for instance with iconv -f cp1252 -t utf-8"
        ) from error
    except OSError as error:  # as where the stream is open for writing only
        raise DataError(
            f"{name}, after line {number}: the stream cannot be read ({error.strerror or error}). Pipe the"
            " texts into the command, or pass the name of a file"
        ) from error


def _physical_lines(stream: TextIO) -> Iterator[str]:
    """The lines of a stream; one that is too long or holds a NUL character is not read to its end."""
    while piece := stream.readline(_PIECE):
        if len(piece) < _PIECE or piece.endswith("\n"):
            yield piece
            continue
        pieces = [piece]
        while not piece.endswith("\n") and "\0" not in piece and len(pieces) * _PIECE <= LONGEST_LINE:
            piece = stream.readline(_PIECE)
            if not piece:
                break
            pieces.append(piece)
        yield "".join(pieces)


def _plain_rows(lines: Iterator[tuple[int, str]], name: str, text_columns: tuple[str, ...]) -> Iterator[Row]:
    num_texts = len(text_columns)
    for number, line in lines:
        # A blank line is a row without text: what comes out stays line for line beside what went in.
        texts = [line] if num_texts == 1 else line.split("\t") if line else [""] * num_texts
        if len(texts) != num_texts:
            raise DataError(
                f"{name}, line {number}: expected {num_texts} texts with a tab between them"
                f" ({', '.join(text_columns)}), found {len(texts)}; or give JSON objects, one a line"
            )
        yield Row(dict(zip(text_columns, texts, strict=True)), Origin(name, number))
