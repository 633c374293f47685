"""The table: named columns and rows that can be read repeatedly, independent of the file format."""

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
from bertune.data.encodings import line_too_long, nul_byte
from bertune.data.folders import is_pattern, parquet_files
from bertune.data.formats import choose_reader, is_other_format, read_as
from bertune.data.readers import jsonl
from bertune.data.readers._decimals import decimal_columns, is_short
from bertune.data.rows import NestedValues, Origin, Row, paths_in
from bertune.errors import DataError, did_you_mean, listed

_PIECE = 1 << 20  # characters of a line that are read from a stream at once
# Rows that are searched for columns, in formats where each row has its own keys. More would delay large
# files.
SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class Table:
    """Rows and the names of their columns; "0", "1" … if the source does not name them."""

    name: str
    columns: tuple[str, ...]
    has_header: bool  # whether the source names the columns
    rows: Callable[[], Iterator[Row]]  # each call starts at the first row
    notes: tuple[str, ...] = ()  # what was inferred, one short sentence each
    text: tuple[str, ...] | None = None  # the text columns, if the source determines them: lists of texts
    label: str | None = None  # the label column, if the source determines it
    nested: tuple[str, ...] = ()  # dotted paths of values inside objects, such as data.text
    ungrouped: "Table | None" = None  # the table before a task grouped its rows
    delimiter: str = ""  # of delimited text

    def has(self, name: str) -> bool:
        """Whether there is a column or path with exactly this name."""
        return name in self.columns or name in self.nested


def open_table(
    source: str | Path,
    options: DataConfig,
    known_names: Collection[str],
    like: str = "",
    likely_header: bool = False,
) -> Table:
    """Open a data file, a folder or a pattern of Parquet files as a table. Reads the first row.

    `known_names` are column names that identify a header line. A file with an unknown suffix is read like one
    with the suffix `like`. With `likely_header`, the first line of a single column is a header if it looks
    like one. Raises DataError for a file that is missing, empty, of an unknown format or invalid at its
    start; `rows` raises it for later rows. Raises ConfigError for settings that do not fit the file.
    """
    path = Path(source)
    refuse_long_name(path)
    if is_pattern(path):
        parquet_files(path)  # raises DataError for a pattern without matches
    elif not path.exists():
        raise DataError(_missing(path))
    suffix = read_as(path, options, like)
    reader = choose_reader(path, options, suffix)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes). Use a file with at least one row")
    has_header, problem = True, "has no rows"
    notes: tuple[str, ...] = ()
    has_keys = not hasattr(reader, "resolve_options")  # each row names its columns, as in JSON
    if not has_keys:
        options, notes = reader.resolve_options(path, options, known_names, suffix, likely_header)
        has_header = options.header is True
        problem = "has no rows below its header line" if has_header else problem
    if path.is_file() and is_other_format(reader, suffix, options):
        name = str(reader.__name__).rpartition(".")[2]
        notes = (f"{path}: contains JSON and is read with data.reader={name}",)
    read = registry.exported(reader, "read")
    if not callable(read):
        raise DataError(
            f"{reader.__file__}: read must be a function read(path, options), got {type(read).__name__}"
        )

    def rows() -> Iterator[Row]:
        return iter(read(path, options))

    found = rows()
    first = next(found, None)
    if first is None:
        raise DataError(f"{path} {problem}. Use a file with at least one row")
    _refuse_other_rows(reader, first)
    sample = islice(found, SAMPLE_ROWS - 1) if has_keys else iter(())
    delimiter = "" if has_keys else str(options.delimiter)
    table = Table(str(source), (), has_header, rows, notes, delimiter=delimiter)
    return with_columns(table, chain([first], sample))


def with_columns(table: Table, sample: Iterator[Row], names: Sequence[str] = ()) -> Table:
    """The table with the columns `names`, followed by the other keys of the rows in `sample`.

    A row without one of the columns has None there. Invalid rows after the first end the sample; `rows`
    raises the error.
    """
    columns, nested = dict.fromkeys(names), dict[str, None]()
    short: list[Mapping[str, Any]] = []
    with contextlib.suppress(DataError):
        for row in sample:
            columns |= dict.fromkeys(row.values)
            paths_in(row.values, nested)
            short.append({key: value for key, value in row.values.items() if is_short(value)})
    order = tuple(columns)
    commas, points = decimal_columns(short)

    def rows() -> Iterator[Row]:
        for row in table.rows():
            values = completed(row.values, order, bool(nested))
            if not (row.decimal_commas or row.decimal_points) and (commas or points):
                yield replace(row, values=values, decimal_commas=commas, decimal_points=points)
            else:
                yield row if values is row.values else replace(row, values=values)

    return replace(table, columns=order, nested=tuple(nested), rows=rows)


def completed(
    values: Mapping[str, Any], columns: Iterable[str], is_nested: bool = False
) -> Mapping[str, Any]:
    """The values of a row, with None for absent columns, and with dotted paths if it has objects or lists.

    `is_nested` says that other rows of the table have objects or lists, so that paths work in this row too.
    """
    absent = [column for column in columns if column not in values]
    is_nested = is_nested or any(isinstance(value, dict | list) for value in values.values())
    if not absent and not is_nested:
        return values
    full = {**dict.fromkeys(columns), **values} if absent else values
    return NestedValues(full) if is_nested else full


def refuse_long_name(path: Path) -> None:
    """Raises DataError for a path that the system refuses, such as a text passed as a file name."""
    try:
        path.exists()
    except OSError as error:
        raise DataError(
            f'not a usable path: "{str(path)[:40]}…" ({error.strerror}). Pass a file path, not the text'
            " itself"
        ) from error


def open_lines(
    stream: TextIO, name: str, text_columns: tuple[str, ...], known_names: Collection[str] = ()
) -> Table:
    """The table in a stream such as standard input. It can be read only once, and is read lazily.

    The stream holds JSON objects if the first line that is not blank starts with "{". Otherwise each line
    holds the texts of `text_columns`, separated by tabs. Raises DataError, also if the first line is the
    header of a table: if it consists of the names of the text columns, or has several of `known_names`.
    """
    lines = _stream_lines(stream, name)
    head: list[tuple[int, str]] = []
    for line in lines:
        head.append(line)
        if line[1].strip():
            break
    else:
        raise DataError(f"{name} is empty. Expected one text or one JSON object per line")
    number, start = head[-1][0], head[-1][1].strip()
    if start == "[" or start.startswith("[{"):
        raise DataError(
            f"{name}, line {number}: found a list of objects, expected one object per line. Convert the list"
            " with jq -c '.[]', or pass the file instead of a pipe"
        )
    if _is_header(start, {*text_columns}, known_names):
        raise DataError(
            f'{name}, line {number}: "{start[:60]}" looks like the header of a table. Expected one text or '
            "one JSON object per line. Pass the file instead of a pipe, or, if all further "
            "lines are texts, remove this line, as with tail -n +2"
        )
    if not start.startswith("{"):
        return Table(name, text_columns, False, _once(_plain_rows(chain(head, lines), name, text_columns)))
    rows = jsonl.rows_of_lines((line for line in chain(head, lines) if line[1]), name)
    first = next(rows)
    return with_columns(Table(name, (), True, _once(chain([first], rows))), iter([first]))


def _is_header(line: str, text_columns: set[str], known_names: Collection[str]) -> bool:
    """Whether a line consists of the names of the text columns, or lists columns with two known names."""
    known = {name.casefold() for name in (*text_columns, *known_names)}
    wanted = {name.casefold() for name in text_columns}
    for sign in ("\t", ",", ";", "|"):
        cells = [cell.strip().strip('"').casefold() for cell in line.split(sign)]
        if set(cells) == wanted or len(known.intersection(cells)) > 1:
            return True
    return False


def _refuse_other_rows(reader: ModuleType, first: object) -> None:
    if not isinstance(first, Row):
        raise DataError(
            f"{reader.__file__}: read() must yield bertune.data.rows.Row, but it yielded a"
            f" {type(first).__name__}"
        )


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"file not found: {path}. The folder {folder} does not exist (current folder: {Path.cwd()})"
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    hint = did_you_mean(path.name, names) or f" {folder.absolute()} contains {listed(names) or 'nothing'}"
    return f"file not found: {path}.{hint}"


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
                raise DataError(nul_byte(name, number, line))
            if len(raw) > LONGEST_LINE:
                raise DataError(line_too_long(f"{name}, line {number}"))
            yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02X}"
        where = f"after line {number}" if number else "at the beginning"
        is_utf_16 = not number and error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        source = "UTF-16" if is_utf_16 else "cp1252"
        raise DataError(
            f"{name}, {where}: {byte} is not {error.encoding.upper()}{' but UTF-16' if is_utf_16 else ''}. "
            f"Convert the input to UTF-8, for example with iconv -f {source} -t utf-8"
        ) from error
    except OSError as error:  # for example a stream that is open for writing only
        raise DataError(
            f"{name}, after line {number}: the stream cannot be read ({error.strerror or error}). Pipe the"
            " texts into the command, or pass a file name"
        ) from error


def _physical_lines(stream: TextIO) -> Iterator[str]:
    """The lines of a stream. A line that is too long or contains a NUL character is not read to its end."""
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
        # A blank line is a row without text, so that the output has one line for each line of the input.
        texts = [line] if num_texts == 1 else line.split("\t") if line else [""] * num_texts
        if len(texts) != num_texts:
            raise DataError(
                f"{name}, line {number}: expected {num_texts} texts separated by tabs"
                f" ({', '.join(text_columns)}), found {len(texts)}. Correct the line, or use JSON objects,"
                " one per line"
            )
        yield Row(dict(zip(text_columns, texts, strict=True)), Origin(name, number))
