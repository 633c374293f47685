"""Reads a sheet of an Excel workbook. Requires openpyxl: `pip install 'bertune[xlsx]'`.

The value of a formula is the one that Excel stored with it.
"""

import datetime
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from bertune.config import DataConfig
from bertune.data.byte_streams import BAD_ZIP, MEBIBYTE, MOST_RATIO
from bertune.data.readers._arrow import seekable
from bertune.data.readers._decimals import decimal_columns
from bertune.data.readers._headers import has_header, header_names, names_columns, refuse_unnamed
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.optional_packages import needs

SUFFIXES = (".xlsx", ".xlsm")

_SAMPLE_ROWS = 1000  # enough to detect a header and formulas without values
_MOST_SHEETS = 20  # sheets that are searched for a header
_CHUNK = 1000  # rows that are read from openpyxl at once
# Below this unpacked size any compression ratio is harmless.
_HARMLESS = 256 * MEBIBYTE
# Exceptions that zipfile and openpyxl raised on corrupt files in tests.
_DAMAGE = (
    *BAD_ZIP,
    zlib.error,
    ParseError,
    SyntaxError,  # raised by lxml, if it is installed
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    EOFError,
    OSError,
)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of a sheet. Without a header, the columns are "0", "1" ….

    The line of a row is its number in the sheet. Empty rows are skipped. Integral numbers are integers, dates
    without a time are dates, and errors such as #N/A are None. Raises DataError for a file that is not a
    workbook, ConfigError for an unknown sheet.
    """
    options, _ = resolve_options(path, options, ())
    names: list[str] = []
    commas, points = frozenset[str](), frozenset[str]()
    with _sheet(path, options) as sheet:
        rows = _records(sheet, path)
        sample = list(islice(rows, _SAMPLE_ROWS))
        width = max((len(values) for _, values in sample), default=0)
        for number, values in chain(sample, rows):
            place = Origin(str(path), number, "row")
            if not names:
                if options.header:
                    below = [_as_texts(record, width) for _, record in sample[1:]]
                    names = header_names(str(place), _as_texts(values, width), below)
                else:
                    names = [str(i) for i in range(width)]
                records = (
                    dict(zip(names, record, strict=False)) for _, record in sample[options.header is True :]
                )
                commas, points = decimal_columns(records)
                if options.header:
                    continue
            if len(values) > len(names):
                refuse_unnamed(str(place), values, len(names))
            cells = [*values[: len(names)], *[None] * (len(names) - len(values))]
            yield Row(dict(zip(names, cells, strict=True)), place, commas, decimal_points=points)


def resolve_options(
    path: Path,
    options: DataConfig,
    known_names: Collection[str],
    suffix: str = "",
    likely_header: bool = False,
) -> tuple[DataConfig, tuple[str, ...]]:
    """Resolve sheet and header. Returns the options, and a note on each inferred value.

    The default sheet is the first visible one. If that has no header with known names, and exactly one other
    visible sheet has, it is that one. Headers are detected as in delimited files; `suffix` is not used.
    """
    if options.header != "auto" and options.sheet is not None:
        return options, ()
    if options.sheet is None:
        options = options.model_copy(update={"sheet": _default_sheet(path, options, known_names)})
    with _sheet(path, options) as sheet:
        title, titles = sheet.title, sheet.parent.sheetnames
        sample = [values for _, values in islice(_records(sheet, path), _SAMPLE_ROWS)]
    width = max(map(len, sample), default=0)
    texts = [_as_texts(values, width) for values in sample]
    header, header_notes = has_header(str(path), texts, options, known_names, likely_header)
    others = f" (of {len(titles)}: {listed(titles)})" if len(titles) > 1 else ""
    notes = [f'{path}: sheet "{title}"{others}, {"header" if header else "no header"}', *header_notes]
    resolved = options.model_copy(update={"header": header, "sheet": title})
    has_gaps = any(len(values) < width or None in values for values in sample)
    empty = _formulas_without_values(path, resolved) if has_gaps or not sample else []
    if empty:
        notes.append(
            f"{path}: the formulas in column {listed(empty)} have no stored values and are read as"
            " empty; open the workbook in Excel or LibreOffice and save it"
        )
    return resolved, tuple(notes)


@contextmanager
def _sheet(path: Path, options: DataConfig, with_formulas: bool = False) -> Iterator[Any]:
    """The selected worksheet, opened for streaming. Raises DataError, ConfigError."""
    with needs("openpyxl", f"to read {path}", "Or save the table as CSV UTF-8"):
        import openpyxl
    with seekable(path) as file:
        _refuse_bomb(path, file)
        try:
            with _quiet():
                book = openpyxl.load_workbook(file, read_only=True, data_only=not with_formulas)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        try:
            sheet = _chosen(path, book, options.sheet)
            sheet.reset_dimensions()  # the size declared in the file may be wrong
            yield sheet
        finally:
            book.close()


def _default_sheet(path: Path, options: DataConfig, known_names: Collection[str]) -> str:
    """The title of the sheet to read if `data.sheet` is not set."""
    with _sheet(path, options) as sheet:
        first, book = str(sheet.title), sheet.parent
        titles = [str(other.title) for other in book.worksheets if other.sheet_state == "visible"]
    if len(titles) < 2 or not known_names:
        return first
    named = []
    for title in titles[:_MOST_SHEETS]:
        with _sheet(path, options.model_copy(update={"sheet": title})) as sheet:
            _, values = next(_records(sheet, path), (0, []))
        if names_columns(_as_texts(values, 0), options, known_names):
            named.append(title)
    return named[0] if len(named) == 1 else first


def _chosen(path: Path, book: Any, name: str | None) -> Any:
    titles = {sheet.title: sheet for sheet in book.worksheets}
    if not titles:
        raise DataError(f"{path} has no worksheet. Use a workbook with a worksheet that holds the table")
    if name is None:
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        return (visible or book.worksheets)[0]
    found = [title for title in titles if title == name] or [
        title for title in titles if title.strip().casefold() == name.strip().casefold()
    ]
    if len(found) != 1:
        known = listed([f'"{title}"' for title in titles])
        raise ConfigError(
            f'{path} has no sheet "{name}" (data.sheet={name}).{did_you_mean(name, titles)}'
            f" Available sheets: {known}"
        )
    return titles[found[0]]


def _records(sheet: Any, path: Path) -> Iterator[tuple[int, list[Any]]]:
    """The non-empty rows: the number of the row, from 1, and its values up to the last non-empty one."""
    rows = enumerate(sheet.iter_rows(), start=1)
    number = 0
    while True:
        try:
            with _quiet():
                chunk = [(number, [_value(cell) for cell in row]) for number, row in islice(rows, _CHUNK)]
        except _DAMAGE as error:
            raise _damaged(path, error, f", after row {number}" if number else "") from error
        if not chunk:
            return
        number = chunk[-1][0]
        for at, values in chunk:
            while values and values[-1] is None:
                values.pop()
            if values:
                yield at, values


def _value(cell: Any) -> Any:
    """The value of a cell as plain Python."""
    value = cell.value
    if isinstance(value, str):
        return None if cell.data_type == "e" or not value else value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # Excel stores every number as a float
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return str(value) if isinstance(value, datetime.timedelta) else value


def _as_texts(values: Sequence[Any], width: int) -> list[str]:
    texts = ["" if value is None else str(value) for value in values]
    return texts + [""] * (width - len(texts))


def _formulas_without_values(path: Path, options: DataConfig) -> list[str]:
    """The letters of columns with formulas that have no stored value in the first rows.

    Excel stores the value of each formula. Libraries that write workbooks without evaluating them do not.
    """
    formulas: dict[str, set[int]] = {}
    with _sheet(path, options, with_formulas=True) as sheet, _quiet():
        try:
            for row in islice(sheet.iter_rows(), _SAMPLE_ROWS):
                for cell in row:
                    if getattr(cell, "data_type", "") == "f":
                        formulas.setdefault(cell.column_letter, set()).add(cell.row)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
    if not formulas:
        return []
    with _sheet(path, options) as sheet, _quiet():
        for row in islice(sheet.iter_rows(), _SAMPLE_ROWS):
            for cell in row:
                if cell.value is not None and cell.row in formulas.get(cell.column_letter, ()):
                    del formulas[cell.column_letter]
    return sorted(formulas)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress openpyxl's warnings about styles, charts and cell validation, which do not affect the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _refuse_bomb(path: Path, file: Any) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
            packed = sum(item.compress_size for item in archive.infolist())
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    file.seek(0)
    if unpacked > max(_HARMLESS, MOST_RATIO * packed):
        raise DataError(
            f"{path}: the {packed:,} bytes of the file unpack to {unpacked:,}, more than {MOST_RATIO} times"
            " as many, so the file may be a decompression bomb. If you trust it, save the sheet as CSV UTF-8"
        )


def _damaged(path: Path, error: Exception, where: str = "") -> DataError:
    return DataError(
        f"{path}{where}: not an Excel workbook in the .xlsx format, or corrupt or encrypted"
        f" ({type(error).__name__}: {str(error)[:60]}). Open it in Excel or LibreOffice and save it as .xlsx"
        " without a password, or as CSV UTF-8"
    )
