"""Owns reading Parquet."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import DAMAGED_GZIP, damaged_gzip, is_gzip, open_bytes
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".parquet",)

_BATCH_ROWS = 1000


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a Parquet file, streamed; a row's line is its number in the file, from 1."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    with ExitStack() as opened:
        try:
            file = pyarrow.parquet.ParquetFile(opened.enter_context(_seekable(path)))
            _refuse_twins(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, Origin(str(path), number))
        except (pyarrow.ArrowException, OSError) as error:
            where = f", row {number + 1}" if number else ""
            reason = str(error).split("\n")[0].rstrip(". ")
            raise DataError(
                f"{path}{where}: this is no Parquet file, or a damaged one ({reason}); write or download"
                " it again, or name its real format with data.reader=delimited"
            ) from error


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
