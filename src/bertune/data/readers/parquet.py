"""Reads Parquet: a single file, or a folder or file pattern with the parts of one table."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.byte_streams import MEBIBYTE, MOST_RATIO
from bertune.data.folders import has_parquet, parquet_files
from bertune.data.readers._arrow import BATCH_ROWS, batch_rows, classes_of, refuse_duplicate_columns, seekable
from bertune.data.rows import Row
from bertune.errors import DataError, listed
from bertune.optional_packages import needs

SUFFIXES = (".parquet",)

# Below this unpacked size any compression ratio is harmless.
_HARMLESS = 256 * MEBIBYTE


def recognises_folder(path: Path) -> bool:
    """Whether a folder contains Parquet files."""
    return has_parquet(path)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of a Parquet file, folder or pattern.

    The line of a row is its number in its file, from 1. Class numbers of a Hugging Face data set become
    names. Raises DataError for a corrupt file, and for parts with different columns.
    """
    first: tuple[Path, list[str]] | None = None
    for part in parquet_files(path):
        for columns, rows in _part(part):
            first = first or (part, columns)
            if set(columns) != set(first[1]):
                raise DataError(
                    f"{part} has the columns {listed(columns)}, but {first[0].name} has {listed(first[1])}."
                    " Expected the same columns in all files. Move one of them to another folder"
                )
            yield from rows


def _part(path: Path) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The column names of a file, with the rows of each batch."""
    with needs("pyarrow", f"to read {path}", "Or convert it to CSV or JSON Lines"):
        import pyarrow
        import pyarrow.parquet

    number = 0
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(seekable(path))
            file = pyarrow.parquet.ParquetFile(stream)
            _refuse_bomb(path, file.metadata, stream.seek(0, io.SEEK_END))
            columns, classes = file.schema_arrow.names, classes_of(file.schema_arrow)
            refuse_duplicate_columns(path, columns)
            yield columns, iter(())
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield columns, batch_rows(path, batch, number, classes)
                number += batch.num_rows
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            where = f", row {number + 1}" if number else ""
            reason = str(error).split("\n")[0].rstrip(". ")
            raise DataError(
                f"{path}{where}: not a Parquet file, or corrupt ({reason}). Write or download it again, or"
                " set its actual format, as in data.reader=delimited"
            ) from error


def _refuse_bomb(path: Path, metadata: Any, packed: int) -> None:
    unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if unpacked > max(_HARMLESS, MOST_RATIO * packed):
        raise DataError(
            f"{path}: the {packed:,} bytes of the file unpack to {unpacked:,}, more than {MOST_RATIO} times"
            " as many. Text does not compress that well, so the file may be a decompression bomb. If you"
            " trust it, write it again without compression (pandas: to_parquet(compression=None))"
        )
