"""Owns reading delimited text: CSV, TSV and TXT, with or without a header line."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from bertune.config import DataConfig
from bertune.data.encodings import is_gzip, text_lines
from bertune.data.readers._cells import DELIMITER_NAMES, Form, makes_table, records
from bertune.data.readers._quotes import QuoteReading
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError

SUFFIXES = (".csv", ".tsv", ".txt")

_SAMPLE_LINES = 50  # enough to tell the delimiter
_SAMPLE_SIZE = 1 << 24  # characters of either sample; a row may be as long as the longest line
_SAMPLE_RECORDS = 1000  # enough to tell whether a label is one


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a delimited file, streamed; a file without a header has columns "0", "1" …"""
    options, _ = settle(path, options, ())
    file = str(path)
    cells_by_line = records(path, _form(options))
    columns: Sequence[str] | None = None
    for line, cells in cells_by_line:
        if columns is None:
            columns = _header(file, line, cells) if options.header else [str(i) for i in range(len(cells))]
            if options.header:
                continue
        yield Row(dict(zip(columns, cells, strict=True)), Origin(file, line))


def settle(
    path: Path, options: DataConfig, known_names: Collection[str]
) -> tuple[DataConfig, tuple[str, ...]]:
    """The options with delimiter, quoting and header decided, and a sentence for each thing inferred.

    A cell of the first line that is one of `known_names`, or a column's given name, makes it a header.
    """
    delimiter = _delimiter(path, options)
    quoting = _quoting(path, options, delimiter)
    settled = options.model_copy(update={"delimiter": delimiter, "quoting": quoting})
    if "auto" not in (options.delimiter, options.quoting, options.header):
        return settled, ()
    quoted = quoting is True
    sample = _sample(path, settled)
    has_header = options.header
    if has_header == "auto":
        has_header = bool(sample) and _names_columns(sample[0], options, known_names)
    settled = settled.model_copy(update={"header": has_header})
    form = ", ".join(
        (
            f"{DELIMITER_NAMES.get(delimiter, delimiter)}-separated",
            "header" if has_header else "no header",
            "quoting" if quoted else "no quoting",
        )
    )
    notes = [f"{path.name}: {form}"]
    if options.quoting == "auto" and not quoted and any(c.startswith('"') for cells in sample for c in cells):
        notes.append(f"{path.name}: quotes are kept as text; if they wrap cells, say data.quoting=true")
    if options.header == "auto" and not has_header:
        notes += _header_doubt(path, sample, options.label)
    return settled, tuple(notes)


def _quoting(path: Path, options: DataConfig, delimiter: str) -> bool | Literal["auto"]:
    """Whether quotes wrap cells; "auto" where they are read as text and that is a guess."""
    if options.quoting != "auto":
        return options.quoting
    if delimiter != "\t":
        return True
    reading = QuoteReading(delimiter)
    for number, line in enumerate(_first_lines(path, options.encoding, _SAMPLE_RECORDS), start=1):
        reading.feed(number, line)
    return True if reading.is_confirmed else "auto"


def _sample(path: Path, settled: DataConfig) -> list[list[str]]:
    """The first records, fewer of them where they are long."""
    sample, size = [], 0
    for _, cells in islice(records(path, _form(settled)), _SAMPLE_RECORDS):
        sample.append(cells)
        size += sum(map(len, cells))
        if size > _SAMPLE_SIZE:
            break
    return sample


def _first_lines(path: Path, encoding: str, most: int) -> Iterator[str]:
    """The first lines, fewer of them where they are long."""
    size = 0
    for line in islice(text_lines(path, encoding), most):
        yield line
        size += len(line)
        if size > _SAMPLE_SIZE:
            return


def _form(settled: DataConfig) -> Form:
    return Form(settled.encoding, settled.delimiter, settled.quoting is True, settled.quoting == "auto")


def _delimiter(path: Path, options: DataConfig) -> str:
    given = options.delimiter
    if given == "auto":
        suffix = Path(path.stem if is_gzip(path) else path.name).suffix.casefold()
        return "\t" if suffix in (".tsv", ".txt") else _sniffed_delimiter(path, options.encoding)
    by_name = {name: char for char, name in DELIMITER_NAMES.items()} | {"\\t": "\t"}
    char = by_name.get(given.casefold(), given)
    if len(char) != 1 or char in '"\r\n\0':
        raise ConfigError(
            f"data.delimiter={given} cannot separate cells: give one character, or tab, comma,"
            " semicolon or pipe"
        )
    return char


def _sniffed_delimiter(path: Path, encoding: str) -> str:
    """Comma, unless the first lines make no table with it and do with exactly one other."""
    lines = list(_first_lines(path, encoding, _SAMPLE_LINES))
    is_cut = len(lines) == _SAMPLE_LINES or sum(map(len, lines)) > _SAMPLE_SIZE
    if makes_table(lines, ",", is_cut):
        return ","
    others = [char for char in (";", "\t") if makes_table(lines, char, is_cut)]
    return others[0] if len(others) == 1 else ","


def _names_columns(cells: Iterable[str], options: DataConfig, known_names: Collection[str]) -> bool:
    given = [*(options.text or ()), options.label or "", options.id or ""]
    names = {name.strip().casefold() for name in (*known_names, *given)}
    names = {name for name in names if name and not name.isdecimal()}
    return any(cell.strip().casefold() in names for cell in cells)


def _header_doubt(path: Path, sample: Sequence[Sequence[str]], label: str | None) -> list[str]:
    """A note when the first line looks like a header that nothing known proves."""
    if label is None or not label.isdecimal() or not sample or int(label) >= len(sample[0]):
        return []
    first, *others = (cells[int(label)] for cells in sample)
    if first in others or len(set(others)) == len(others):
        return []
    return [
        f'{path.name}: line 1 is taken as data, though its label "{first}" does not occur again;'
        " if it names the columns, say data.header=true"
    ]


def _header(file: str, line: int, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > 1 and not names[0]:
        names[0] = "0"  # the number of the row, as pandas writes it, and SWAG is published
    for number, name in enumerate(names):
        if not name:
            raise DataError(
                f"{file}, line {line}: the header has no name for column {number} (counted from 0);"
                " write one (pandas: to_csv(index=False)), or say data.header=false if the line is data"
            )
        if name in names[:number]:
            raise DataError(
                f"{file}, line {line}: the header names columns {names.index(name)} and {number} both"
                f' "{name}"; give each a name of its own, or say data.header=false if the line is data'
            )
    return names
