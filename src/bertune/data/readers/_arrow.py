"""Rows from Arrow record batches, and seekable access to compressed files."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bertune.data.byte_streams import DAMAGED, damaged_file, is_packed
from bertune.data.encodings import open_bytes
from bertune.data.readers._classes import classes_in, with_class_names
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

BATCH_ROWS = 1000


def batch_rows(path: Path, batch: Any, before: int, classes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """The rows of a record batch, numbered from `before` + 1.

    `classes` holds the class names by column. Raises DataError with row and column.
    """
    for number, values in enumerate(_python_values(path, batch, before), start=before + 1):
        origin = Origin(str(path), number)
        yield Row(with_class_names(values, classes, str(origin)) if classes else values, origin)


def classes_of(schema: Any) -> dict[str, list[str]]:
    """The class names by column that `datasets` stores in the metadata of a schema; empty if it has none."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        return classes_in(json.loads(stored)["info"]["features"]) if stored else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}  # metadata of another program: the columns are used as stored


def refuse_duplicate_columns(path: Path, names: list[str]) -> None:
    """Raises DataError if two columns have the same name."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DataError(
                f'{path}: columns {names.index(name)} and {number} are both named "{name}".'
                " Rename one of them"
            )


def seekable(path: Path) -> io.BufferedReader | Any:
    """A file opened for random access. A compressed file is first unpacked to a temporary file on disk.

    Raises DataError for a corrupt compressed file.
    """
    packed = open_bytes(path)
    if not is_packed(path):
        return packed
    with packed, ExitStack() as until_whole:
        unpacked = until_whole.enter_context(tempfile.TemporaryFile())
        try:
            shutil.copyfileobj(packed, unpacked)
        except DAMAGED as error:
            raise DataError(damaged_file(path, f"after byte {unpacked.tell()}", error)) from error
        until_whole.pop_all()
        unpacked.seek(0)
        return unpacked


def _python_values(path: Path, batch: Any, num_before: int) -> list[dict[str, Any]]:
    """The rows of a batch. Raises DataError with row and column for a value that Python cannot represent."""
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
            f"{path}, rows {num_before + 1} to {num_before + batch.num_rows}: the values cannot be converted"
            f" to Python values ({whole}). Write the file again with plain texts and numbers"
        ) from whole


def _no_value(column: Any, row: int, error: Exception) -> str:
    import pyarrow

    kind = column.type
    if isinstance(error, UnicodeDecodeError):
        byte = f"byte 0x{error.object[error.start]:02X} at {error.start}"
        return f"contains text that is not UTF-8 ({byte}). Write the texts again as UTF-8"
    if pyarrow.types.is_timestamp(kind) and kind.tz:
        try:
            column.cast(pyarrow.timestamp(kind.unit))[row].as_py()
        except (pyarrow.ArrowException, OverflowError, ValueError):
            pass  # the value itself is the problem, not the time zone
        else:
            return (
                f'has the time zone "{kind.tz}", which is unknown on this machine. Write the times in UTC, or'
                " remove the column"
            )
    reason = str(error).split("\n")[0].rstrip(". ")
    return (
        f"contains a {kind} value that Python cannot represent ({reason}). Expected dates between the years 1"
        " and 9999. Correct the value, write it as text, or remove the column"
    )
