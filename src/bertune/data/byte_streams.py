"""Limits on the size of what is read, and a stream of unpacked bytes that stops at gzip bombs."""

import gzip
import io
from pathlib import Path
from typing import Any

from bertune.errors import DataError

MEBIBYTE = 1 << 20
BLOCK = 1 << 16

# DEFLATE reaches a ratio of 1,032; texts and tables compress 3 to 10 times. Below 8 MiB any ratio is
# harmless.
MOST_RATIO = 100
RATIO_FROM = 8 * MEBIBYTE

# Characters of a line, a quoted record or a document. text8, a corpus on one line, has 95 MiB. The csv module
# uses 4 bytes per character, so a record much longer than this would take over a gigabyte.
LONGEST_LINE = 128 * MEBIBYTE
# Approximate overhead, in bytes, of each line (a Python string) of a record held in memory.
LINE_COST = 64
# Bytes of a file that must be in memory as a whole, such as JSON. The parsed value takes several times that.
LARGEST_WHOLE = 2048 * MEBIBYTE
# From this packed size on, a file is first unpacked once to count its bytes: 4 MiB can unpack to 400 MiB.
_COUNTED_FROM = 4 * MEBIBYTE


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a gzip file. Raises DataError if the compression ratio is implausible."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._packed = path.open("rb")
        self._stream = gzip.GzipFile(fileobj=self._packed, mode="rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any, /) -> int:
        # read1 returns the bytes before the corrupt part; read would lose them.
        block = self._stream.read1(len(buffer))
        buffer[: len(block)] = block
        unpacked = self._stream.tell()
        # Both are counted up to this point, so that a bomb after harmless bytes is detected as well.
        if unpacked > RATIO_FROM and unpacked > MOST_RATIO * self._packed.tell():
            raise DataError(
                f"{self._path}: the first {self._packed.tell():,} bytes unpack to {unpacked:,}, more than"
                f" {MOST_RATIO} times as many. Text rarely compresses that well, so the file may be a"
                " decompression bomb. If you trust it, unpack it with gunzip and use the unpacked file"
            )
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


def refuse_too_large(path: Path, unpacked: io.BufferedIOBase | None) -> None:
    """Raises DataError if a file, or the unpacked stream of a gzip file, is too large to hold in memory."""
    size = path.stat().st_size
    if unpacked is not None:
        if size < _COUNTED_FROM:
            return
        size = 0
        while size <= LARGEST_WHOLE and (block := unpacked.read1(BLOCK)):
            size += len(block)
    if size > LARGEST_WHOLE:
        raise DataError(
            f"{path}: the file is larger than {LARGEST_WHOLE // MEBIBYTE:,} MiB"
            f"{' when unpacked' if unpacked is not None else ''}, and files of this format are read into"
            " memory as a whole. Convert it to JSON Lines (one object per line), which is read row by row, or"
            " split it"
        )
