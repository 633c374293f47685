"""How much of a file is read: the limits, and a stream of unpacked bytes that stops at gzip bombs."""

import gzip
import io
from pathlib import Path
from typing import Any

from bertune.errors import DataError

MEBIBYTE = 1 << 20
BLOCK = 1 << 16

# DEFLATE reaches 1,032; texts and tables compress 3 to 10 times. Below 8 MiB no ratio does any harm.
MOST_RATIO = 100
RATIO_FROM = 8 * MEBIBYTE

# Characters of a line, a quoted record or a document. text8, a corpus on one line, has 95 MiB; the csv
# module takes 4 bytes for a character, so that a longer record would cost over a gigabyte.
LONGEST_LINE = 128 * MEBIBYTE
# What Python adds to each line of a record that is held.
LINE_COST = 64
# Bytes of a file that must be in memory as a whole, such as JSON. What is parsed takes several times that.
LARGEST_WHOLE = 2048 * MEBIBYTE
# Packed bytes from which a file is unpacked once to count before it is kept: 4 MiB can make 400.
_COUNTED_FROM = 4 * MEBIBYTE


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a gzip file. Raises DataError where they are too many for the packed ones."""

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
        # read1 gives what comes before damage; read would lose it.
        block = self._stream.read1(len(buffer))
        buffer[: len(block)] = block
        unpacked = self._stream.tell()
        # Both are counted up to here, so that a bomb behind harmless bytes is found as well.
        if unpacked > RATIO_FROM and unpacked > MOST_RATIO * self._packed.tell():
            raise DataError(
                f"{self._path}: the first {self._packed.tell():,} bytes unpack to {unpacked:,}, more than"
                f" {MOST_RATIO} times as many. Text rarely compresses that well, so the file may be built to"
                " fill the memory. If you trust it, unpack it with gunzip and give the unpacked file"
            )
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


def refuse_too_large(path: Path, unpacked: io.BufferedIOBase | None) -> None:
    """Raises DataError for a file, or the stream of a packed one, that is too large to be held as a whole."""
    size = path.stat().st_size
    if unpacked is not None:
        if size < _COUNTED_FROM:
            return
        size = 0
        while size <= LARGEST_WHOLE and (block := unpacked.read1(BLOCK)):
            size += len(block)
    if size > LARGEST_WHOLE:
        raise DataError(
            f"{path}: the file has more than {LARGEST_WHOLE // MEBIBYTE:,} MiB"
            f"{' when unpacked' if unpacked is not None else ''}. bertune reads this format as a whole into"
            " memory. Write it as JSON Lines, an object a line, which is read row by row, or split it"
        )
