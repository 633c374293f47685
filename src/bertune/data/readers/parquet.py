"""Owns reading Parquet."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.byte_streams import MEBIBYTE, MOST_RATIO
from bertune.data.encodings import DAMAGED_GZIP, damaged_gzip, is_gzip, open_bytes
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".parquet",)

_BATCH_ROWS = 1000


# Uncompressed bytes below which a file is harmless however well it is compressed.
_HARMLESS = 256 * MEBIBYTE


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a Parquet file, streamed; a row's line is its number in the file, from 1."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(_seekable(path))
            file = pyarrow.parquet.ParquetFile(stream)
            _refuse_bomb(path, file.metadata, stream.seek(0, io.SEEK_END))
            _refuse_twins(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in _python_values(path, batch, number):
                    number += 1
                    yield Row(values, Origin(str(path), number))
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            where = f", row {number + 1}" if number else ""
            reason = str(error).split("\n")[0].rstrip(". ")
            raise DataError(
                f"{path}{where}: this is not a Parquet file, or a damaged one ({reason}); write or download"
                " it again, or name its real format with data.reader=delimited"
            ) from error


def _python_values(path: Path, batch: Any, num_before: int) -> list[dict[str, Any]]:
    """The rows of a batch. Raises DataError with row and column for a value that Python cannot hold."""
    import pyarrow

    # ValueError: bytes that are not UTF-8, nanoseconds, a struct with a field twice; KeyError: a time zone
    not_in_python = (pyarrow.ArrowException, OverflowError, ValueError, KeyError)
    try:
        values: list[dict[str, Any]] = batch.to_pylist()
        return values
    except not_in_python as whole:
        for row in range(batch.num_rows):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                try:
                    column[row].as_py()
                except not_in_python as error:
                    place = f'{path}, row {num_before + row + 1}: column "{name}"'
                    raise DataError(f"{place} {_no_value(column, row, error)}") from error
        raise DataError(
            f"{path}, rows {num_before + 1} to {num_before + batch.num_rows}: the values cannot be read as"
            f" Python values ({whole}). Write the file again with plain texts and numbers"
        ) from whole


def _no_value(column: Any, row: int, error: Exception) -> str:
    import pyarrow

    kind = column.type
    if isinstance(error, UnicodeDecodeError):
        byte = f"byte 0x{error.object[error.start]:02X} at {error.start}"
        return f"holds a text that is not UTF-8 ({byte}). Write the texts again as UTF-8"
    if pyarrow.types.is_timestamp(kind) and kind.tz:
        try:
            column.cast(pyarrow.timestamp(kind.unit))[row].as_py()
        except (pyarrow.ArrowException, OverflowError, ValueError):
            pass  # it is the time itself
        else:
            return (
                f'has the time zone "{kind.tz}", which is unknown on this machine. Write the times in UTC, or'
                " leave the column out"
            )
    reason = str(error).split("\n")[0].rstrip(". ")
    return (
        f"holds a {kind} value that Python cannot represent ({reason}). Expected dates between the years 1"
        " and 9999. Correct the value, write it as text, or leave the column out"
    )


def _refuse_bomb(path: Path, metadata: Any, packed: int) -> None:
    unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if unpacked > max(_HARMLESS, MOST_RATIO * packed):
        raise DataError(
            f"{path}: its {packed:,} bytes unpack to {unpacked:,}, more than {MOST_RATIO} times as many. No"
            " text compresses that well, so the file may be built to fill the memory. If you trust it, write"
            " it again without compression (pandas: to_parquet(compression=None))"
        )


def _seekable(path: Path) -> Any:
    """The file opened for Parquet, which starts at the end: a packed one is unpacked to disk first."""
    packed = open_bytes(path)
    if not is_gzip(path):
        return packed
    with packed, ExitStack() as until_whole:
        unpacked = until_whole.enter_context(tempfile.TemporaryFile())
        try:
            shutil.copyfileobj(packed, unpacked)
        except DAMAGED_GZIP as error:
            raise DataError(damaged_gzip(path, f"after byte {unpacked.tell()}", error)) from error
        until_whole.pop_all()
        return unpacked


def _refuse_twins(path: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DataError(
                f'{path}: columns {names.index(name)} and {number} are both named "{name}";'
                " give each a name of its own"
            )
