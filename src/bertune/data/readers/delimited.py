"""Reads delimited text: CSV, TSV and TXT, with or without a header line."""

import csv
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.formats import file_suffix
from bertune.data.readers._cells import DELIMITER_NAMES, Form, makes_table, records, spaces_before_quotes
from bertune.data.readers._decimals import decimal_columns
from bertune.data.readers._headers import (
    has_header,
    header_names,
    names_columns,
    refuse_quoted_lines,
    refuse_unnamed,
)
from bertune.data.readers._quotes import QuoteReading
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError

SUFFIXES = (".csv", ".tsv", ".txt")

_SAMPLE_LINES = 50  # enough to detect the delimiter
_SAMPLE_SIZE = 1 << 24  # characters of each sample; a single row may be as long as the maximum line
_SAMPLE_RECORDS = 1000  # enough to detect a header
# A first line that tells Excel the delimiter.
_DIRECTIVE = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of a delimited file. Without a header, the columns are "0", "1" …. Raises DataError."""
    options, _ = resolve_options(path, options, ())
    file, form = str(path), _form(path, options)
    sample = _sample(path, form)
    below = sample[1:] if options.header else sample
    columns: list[str] = []
    commas, points = frozenset[str](), frozenset[str]()
    for line, cells in records(path, form):
        if not columns:
            columns = [str(i) for i in range(len(cells))]
            if options.header:
                columns = header_names(f"{file}, line {line}", cells, below)
            commas, points = decimal_columns(dict(zip(columns, c, strict=False)) for c in below)
            if options.header:
                continue
        if len(cells) > len(columns):
            refuse_unnamed(f"{file}, line {line}", cells, len(columns))
        values = dict(zip(columns, cells, strict=False))
        yield Row(values, Origin(file, line), decimal_commas=commas, decimal_points=points)


def resolve_options(
    path: Path,
    options: DataConfig,
    known_names: Collection[str],
    suffix: str = "",
    likely_header: bool = False,
) -> tuple[DataConfig, tuple[str, ...]]:
    """Resolve delimiter, quoting and header. Returns the options, and a note on each inferred value.

    The first line is a header if one of its cells is in `known_names` or is a column name from the options;
    with `likely_header`, also if it is a short name above a single column of texts. `suffix` is the suffix by
    which the file is read; if empty, its own. Raises ConfigError, DataError.
    """
    directive = _directive(path, options)
    suffix = suffix or file_suffix(path)
    delimiter = _delimiter(path, options, suffix, directive)
    if delimiter == "\t" and options.delimiter == "auto" and directive is None:
        delimiter = _delimiter_of_header(path, options, known_names) or delimiter
    quoting = _quoting(path, options, delimiter)
    resolved = options.model_copy(update={"delimiter": delimiter, "quoting": quoting})
    if "auto" not in (options.delimiter, options.quoting, options.header):
        return resolved, ()
    quoted = quoting is True
    sample = _sample(path, _form(path, resolved))
    if quoted and options.header == "auto":
        refuse_quoted_lines(str(path), sample, options, known_names)
    # A .txt file is usually plain text without a header.
    header, header_notes = has_header(
        str(path), sample, options, known_names, likely_header, is_plain=suffix == ".txt"
    )
    resolved = resolved.model_copy(update={"header": header})
    form = ", ".join(
        (
            f"{DELIMITER_NAMES.get(delimiter, delimiter)}-separated",
            "header" if header else "no header",
            "quoting" if quoted else "no quoting",
        )
    )
    notes = [f"{path}: {form}"]
    if options.quoting == "auto" and not quoted and any(c.startswith('"') for cells in sample for c in cells):
        notes.append(f"{path}: quotes are read as text; if they enclose cells, set data.quoting=true")
    return resolved, (*notes, *header_notes)


def _quoting(path: Path, options: DataConfig, delimiter: str) -> bool | Literal["auto"]:
    """Whether quotes enclose cells; "auto" if they are assumed to be text."""
    if options.quoting != "auto":
        return options.quoting
    if delimiter != "\t":
        return True
    reading = QuoteReading(delimiter)
    for number, line in enumerate(_first_lines(path, options.encoding, _SAMPLE_RECORDS), start=1):
        reading.feed(number, line)
    return True if reading.is_confirmed else "auto"


def _sample(path: Path, form: Form) -> list[list[str]]:
    """The first records; fewer if they are long."""
    sample, size = [], 0
    for _, cells in islice(records(path, form), _SAMPLE_RECORDS):
        sample.append(cells)
        size += sum(map(len, cells))
        if size > _SAMPLE_SIZE:
            break
    return sample


def _directive(path: Path, options: DataConfig) -> str | None:
    """The delimiter in a first line such as sep=;, or None."""
    first = next(iter(text_lines(path, options.encoding)), "")
    found = _DIRECTIVE.fullmatch(first)
    return found[1] if found else None


def _first_lines(path: Path, encoding: str, most: int) -> Iterator[str]:
    """The first lines, without a sep= directive; fewer if they are long."""
    size = 0
    for number, line in enumerate(islice(text_lines(path, encoding), most)):
        if number == 0 and _DIRECTIVE.fullmatch(line):
            continue
        yield line
        size += len(line)
        if size > _SAMPLE_SIZE:
            return


def _form(path: Path, resolved: DataConfig) -> Form:
    quoted = resolved.quoting is True
    lines = _first_lines(path, resolved.encoding, _SAMPLE_RECORDS) if quoted else ()
    return Form(
        encoding=resolved.encoding,
        delimiter=resolved.delimiter,
        quoted=quoted,
        is_guess=resolved.quoting == "auto",
        skips_spaces=quoted and spaces_before_quotes(list(lines), resolved.delimiter),
        has_directive=_directive(path, resolved) is not None,
    )


def _delimiter(path: Path, options: DataConfig, suffix: str, directive: str | None) -> str:
    given = options.delimiter
    if given == "auto":
        if directive is not None:
            return directive
        return "\t" if suffix in (".tsv", ".txt") else _sniffed_delimiter(path, options.encoding)
    by_name = {name: char for char, name in DELIMITER_NAMES.items()} | {"\\t": "\t"}
    char = by_name.get(given.casefold(), given)
    if len(char) != 1 or char in '"\r\n\0':
        raise ConfigError(
            f"data.delimiter={given} cannot be used as a delimiter. Set it to a single character, or to tab,"
            " comma, semicolon or pipe"
        )
    return char


def _delimiter_of_header(path: Path, options: DataConfig, known_names: Collection[str]) -> str | None:
    """The delimiter of a .txt or .tsv file without tabs whose first line has known names between others."""
    lines = list(_first_lines(path, options.encoding, _SAMPLE_LINES))
    if not lines or any("\t" in line for line in lines):
        return None
    is_cut = len(lines) == _SAMPLE_LINES
    for char in (",", ";", "|"):
        cells = next(csv.reader(lines[:1], delimiter=char), [])
        if names_columns(cells, options, known_names) and makes_table(lines, char, is_cut):
            return char
    return None


def _sniffed_delimiter(path: Path, encoding: str) -> str:
    """The delimiter: comma, unless the first lines form a table only with exactly one other delimiter."""
    lines = list(_first_lines(path, encoding, _SAMPLE_LINES))
    is_cut = len(lines) == _SAMPLE_LINES or sum(map(len, lines)) > _SAMPLE_SIZE
    if makes_table(lines, ",", is_cut):
        return ","
    others = [char for char in (";", "\t", "|") if makes_table(lines, char, is_cut)]
    return others[0] if len(others) == 1 else ","
