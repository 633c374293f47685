"""Reads a sheet of an Excel workbook, with openpyxl: `pip install 'bertune[xlsx]'`.

Formulas count as the values that Excel stored beside them.
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
from bertune.data.byte_streams import MEBIBYTE, MOST_RATIO
from bertune.data.readers._arrow import seekable
from bertune.data.readers._headers import has_header, header_names, refuse_unnamed
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, did_you_mean, listed

SUFFIXES = (".xlsx", ".xlsm")

_SAMPLE_ROWS = 1000  # enough to tell a header and formulas without values
_CHUNK = 1000  # rows that are taken from openpyxl at once
# Unpacked bytes below which a workbook is harmless however well it is compressed.
_HARMLESS = 256 * MEBIBYTE
# What damaged content was seen to cause in zipfile and openpyxl.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    SyntaxError,  # of lxml, where it is installed
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    EOFError,
    OSError,
    NotImplementedError,
)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a sheet, streamed; a sheet without a header has columns "0", "1" …

    A row's line is its number in the sheet, and rows without any value are left out. Whole numbers are
    integers, dates without a time are dates, and errors such as #N/A are None. Raises DataError for a file
    that is not a workbook.
    """
    options, _ = settle(path, options, ())
    names: list[str] = []
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
                    continue
                names = [str(i) for i in range(width)]
            if len(values) > len(names):
                refuse_unnamed(str(place), values, len(names))
            cells = [*values[: len(names)], *[None] * (len(names) - len(values))]
            yield Row(dict(zip(names, cells, strict=True)), place)


def settle(
    path: Path,
    options: DataConfig,
    known_names: Collection[str],
    suffix: str = "",
    likely_header: bool = False,
) -> tuple[DataConfig, tuple[str, ...]]:
    """The options with sheet and header decided, and a sentence for each thing inferred.

    The sheet is the first visible one. A header is found as in delimited text.
    """
    if options.header != "auto" and options.sheet is not None:
        return options, ()
    with _sheet(path, options) as sheet:
        title, titles = sheet.title, sheet.parent.sheetnames
        sample = [values for _, values in islice(_records(sheet, path), _SAMPLE_ROWS)]
    width = max(map(len, sample), default=0)
    texts = [_as_texts(values, width) for values in sample]
    # A header is text, whatever the names are that are known.
    header, doubts = has_header(path.name, texts, options, known_names, likely_header)
    others = f" (of {len(titles)}: {listed(titles)})" if len(titles) > 1 else ""
    notes = [f'{path.name}: sheet "{title}"{others}, {"header" if header else "no header"}', *doubts]
    settled = options.model_copy(update={"header": header, "sheet": title})
    has_gaps = any(len(values) < width or None in values for values in sample)
    empty = _formulas_without_values(path, settled) if has_gaps or not sample else []
    if empty:
        notes.append(
            f"{path.name}: the formulas in column {listed(empty)} have no stored values and count as empty;"
            " open the workbook in Excel or LibreOffice and save it"
        )
    return settled, tuple(notes)


@contextmanager
def _sheet(path: Path, options: DataConfig, with_formulas: bool = False) -> Iterator[Any]:
    """The worksheet that is meant, as openpyxl streams it. Raises DataError, ConfigError."""
    openpyxl = _openpyxl(path)
    with seekable(path) as file:
        _refuse_bomb(path, file)
        try:
            with _quiet():
                book = openpyxl.load_workbook(file, read_only=True, data_only=not with_formulas)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        try:
            sheet = _chosen(path, book, options.sheet)
            sheet.reset_dimensions()  # the size that a file states of itself may be wrong
            yield sheet
        finally:
            book.close()


def _openpyxl(path: Path) -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path}: reading Excel workbooks needs openpyxl, which is not installed. Install it with"
            " pip install 'bertune[xlsx]', or save the table as CSV UTF-8"
        ) from error
    return openpyxl


def _chosen(path: Path, book: Any, wanted: str | None) -> Any:
    titles = {sheet.title: sheet for sheet in book.worksheets}
    if not titles:
        raise DataError(f"{path} has no worksheet. Expected one with the table in it; choose another file")
    if wanted is None:
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        return (visible or book.worksheets)[0]
    found = [title for title in titles if title == wanted] or [
        title for title in titles if title.strip().casefold() == wanted.strip().casefold()
    ]
    if len(found) != 1:
        there = listed([f'"{title}"' for title in titles])
        raise ConfigError(
            f'{path} has no sheet "{wanted}" (data.sheet={wanted}).{did_you_mean(wanted, titles)}'
            f" There are: {there}"
        )
    return titles[found[0]]


def _records(sheet: Any, path: Path) -> Iterator[tuple[int, list[Any]]]:
    """The number of each row that has a value, from 1, and its values up to the last one."""
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
    """What a cell holds, in plain Python."""
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
    """The letters of columns whose formulas have no value in the first rows.

    Excel stores the value of each formula; programs that only write workbooks do not.
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
    """Without openpyxl's warnings of styles, charts and checks of cells, which are not data."""
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
            f"{path}: its {packed:,} bytes unpack to {unpacked:,}, more than {MOST_RATIO} times as many, so"
            " the file may be built to fill the memory. If you trust it, save the sheet as CSV UTF-8"
        )


def _damaged(path: Path, error: Exception, where: str = "") -> DataError:
    return DataError(
        f"{path}{where}: not an Excel workbook in the .xlsx format, or corrupt or encrypted"
        f" ({type(error).__name__}: {str(error)[:60]}). Open it in Excel or LibreOffice and save it as .xlsx"
        " without a password, or as CSV UTF-8"
    )
