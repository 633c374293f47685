"""Limits on the size of what is read, and a stream of unpacked bytes that stops at decompression bombs."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, cast

from bertune.errors import DataError, listed

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


# The suffixes of compressed files, and the names of their formats.
PACKED = {".gz": "a gzip", ".bz2": "a bzip2", ".xz": "an xz", ".zip": "a zip"}
# BadGzipFile and BadZipFile are raised at the start or the end of a corrupt file, the others in the middle.
DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)
# Raised on opening a zip archive or a file in it. RuntimeError: a password, or an unknown compression method.
BAD_ZIP = (zipfile.BadZipFile, RuntimeError)
# Files that accompany the data in an archive.
_DOCUMENTATION = re.compile(
    r"(?:read.?me|licen[cs]e|notice|citation|changelog)\b.*|.*\.(?:md|pdf|html?)", re.I
)


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, judging by its suffix."""
    return path.suffix.casefold() in PACKED


def name_in_archive(path: Path) -> str:
    """The name of the only data file in a zip archive. Raises DataError if there are none or several."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _only_member(path, archive).filename
    except BAD_ZIP as error:
        raise DataError(damaged_file(path, "at its end", error)) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [info for info in archive.infolist() if not info.is_dir()]
    # macOS adds __MACOSX/._NAME and .DS_Store.
    visible = [m for m in members if not any(part[0] in "._" for part in PurePosixPath(m.filename).parts)]
    found = [m for m in visible if not _DOCUMENTATION.fullmatch(PurePosixPath(m.filename).name)]
    found = found or visible or members
    if len(found) != 1:
        names = listed([m.filename for m in found]) or "no files"
        raise DataError(
            f"{path}: expected a zip archive with one data file, found {names}. Unpack it and use "
            f"{'one of the files' if found else 'another file'}"
        )
    if found[0].flag_bits & 1:
        raise DataError(f"{path} is encrypted. Unpack it and use the data file")
    return found[0]


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a compressed file. Raises DataError if the compression ratio is implausible."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._packed = path.open("rb")
        self._num_packed: int | None = None  # if known from the start
        kind = path.suffix.casefold()
        self._stream: io.BufferedIOBase
        try:
            if kind == ".zip":
                archive = zipfile.ZipFile(self._packed)
                member = _only_member(path, archive)
                self._num_packed = min(member.compress_size, path.stat().st_size)  # the first is a claim
                self._stream = cast(io.BufferedIOBase, archive.open(member))
            elif kind == ".bz2":
                self._stream = bz2.BZ2File(self._packed)
            elif kind == ".xz":
                self._stream = lzma.LZMAFile(self._packed)  # noqa: SIM115 (closed by close)
            else:
                self._stream = gzip.GzipFile(fileobj=self._packed, mode="rb")
        except BAD_ZIP as error:
            self._packed.close()
            raise DataError(damaged_file(path, "at its end", error)) from error
        except DataError:
            self._packed.close()
            raise

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
        try:
            block = self._stream.read1(len(buffer))
        except OSError as error:
            if error.errno is not None or isinstance(error, gzip.BadGzipFile):
                raise
            raise EOFError(str(error)) from error  # what bz2 raises for invalid data
        buffer[: len(block)] = block
        unpacked = self._stream.tell()
        # Both are counted up to this point, so that a bomb after harmless bytes is detected as well.
        packed = self._packed.tell() if self._num_packed is None else self._num_packed
        if unpacked > RATIO_FROM and unpacked > MOST_RATIO * packed:
            raise DataError(
                f"{self._path}: the first {packed:,} bytes unpack to {unpacked:,}, more than"
                f" {MOST_RATIO} times as many. Text rarely compresses that well, so the file may be a"
                " decompression bomb. If you trust it, unpack it yourself and use the unpacked file"
            )
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


def refuse_too_large(path: Path, unpacked: io.BufferedIOBase | None) -> None:
    """Raises DataError if a file, or the stream of an unpacked one, is too large to hold in memory."""
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


def damaged_file(path: Path, where: str, error: Exception) -> str:
    """The error message for a compressed file that cannot be unpacked; `where` describes the position."""
    suffix = path.suffix.casefold()
    return (
        f"{path} is not {PACKED.get(suffix, 'a gzip')} file, or is corrupt or truncated {where} "
        f"({error}). Compress or download it again, or remove {suffix} from its name if it is not compressed"
    )
