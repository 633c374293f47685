"""Owns the table: named columns over rows that can be read again, whatever format they come from."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TextIO

from bertune import registry
from bertune.config import DataConfig
from bertune.data.byte_streams import LONGEST_LINE
from bertune.data.encodings import endless_line, nul_found
from bertune.data.readers import jsonl
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, did_you_mean, listed

_PIECE = 1 << 20  # characters of a line that are taken from a stream at once


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


def open_table(source: str | Path, options: DataConfig, known_names: Collection[str]) -> Table:
    """The table in a data file, its first row already checked.

    `known_names` are column names that count as evidence of a header line. Raises DataError for a file
    that is missing, empty, of no known format or broken at its start; `rows` raises it for what follows.
    """
    path = Path(source)
    refuse_long_name(path)
    if not path.exists():
        raise DataError(_missing(path))
    reader = _reader(path, options)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); give a file with at least one row")
    has_header, notes, lone = True, (), "holds no rows"
    if hasattr(reader, "settle"):
        options, notes = reader.settle(path, options, known_names)
        has_header = options.header is True
        lone = "has no rows below its header line" if has_header else lone
    read = registry.exported(reader, "read")
    if not callable(read):
        raise DataError(f"{reader.__file__}: read must be a function, read(path, options)")

    def rows() -> Iterator[Row]:
        return iter(read(path, options))

    first = next(rows(), None)
    if first is None:
        raise DataError(f"{path} {lone}; give a file with at least one row")
    if not isinstance(first, Row):
        raise DataError(
            f"{reader.__file__}: read() must yield bertune.data.rows.Row; it yielded a {type(first).__name__}"
        )
    return Table(str(source), tuple(first.values), has_header, rows, notes)


def file_suffix(path: str | Path) -> str:
    """The ending that tells a file's format, in small letters and without .gz; empty where there is none."""
    suffixes = [suffix.casefold() for suffix in Path(path).suffixes]
    packed = suffixes[-1:] == [".gz"]
    return "".join(suffixes[:-1][-1:] if packed else suffixes[-1:])


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
    return Table(name, tuple(first.values), True, _once(chain([first], rows)))


def _reader(path: Path, options: DataConfig) -> ModuleType:
    if options.reader != "auto":
        return registry.load("reader", options.reader)
    if not path.is_file():
        raise DataError(_no_file(path))
    suffix = file_suffix(path)
    known: list[str] = []
    plain: ModuleType | None = None
    for name in registry.names("reader"):
        reader = registry.load("reader", name)
        own = getattr(reader, "SUFFIXES", ())
        if suffix in own:
            # Several formats may share an ending; one that can be told by its content says so.
            if not hasattr(reader, "recognises"):
                plain = reader
            elif reader.recognises(path, options):
                return reader
        known += [ending for ending in own if ending not in known]
    if plain is not None:
        return plain
    seen = (
        f'ends in "{suffix}", which stands for no known format'
        if suffix
        else "has no suffix to tell its format"
    )
    raise DataError(
        f"{path} {seen}. Known are {listed(known, 20)}, each also with .gz; or name the format"
        " with data.reader=delimited, or a reader of your own with data.reader=my_reader.py"
    )


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}: the folder {folder} does not exist (looked in {Path.cwd()})"
    there = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    hint = did_you_mean(path.name, there) or f" {folder.absolute()} holds {listed(there) or 'nothing'}"
    return f"there is no file {path}.{hint}"


def _no_file(path: Path) -> str:
    if path.is_dir():
        there = sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        return f"{path} is a folder; give a file, such as one of those in it: {listed(there) or 'none'}"
    return f"{path} is no regular file and can be read only once; save it to a file first"


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
