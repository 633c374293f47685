"""Safe extraction of zip and tar.gz archives: selected members only, with size limits, all or nothing."""

import gzip
import os
import posixpath
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Literal, cast

from bertune.data.byte_streams import BAD_ZIP, MEBIBYTE, MOST_RATIO, RATIO_FROM
from bertune.data.download import storage_error
from bertune.errors import DataError, listed

_BLOCK = 1 << 16
# Exceptions of zipfile, gzip and tarfile on fuzzed archives. They are caught around reading only.
_DAMAGE = (
    *BAD_ZIP,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
)
_Kind = Literal["file", "folder", "link", "device"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on unpacked bytes. Text compresses by a factor of 3 to 10; DEFLATE can reach 1,000."""

    member: int = 256 * MEBIBYTE
    total: int = 1024 * MEBIBYTE  # in a tar.gz every member counts, because all of it must be decompressed
    ratio: int = MOST_RATIO  # unpacked to packed bytes
    ratio_from: int = RATIO_FROM  # the ratio is not checked below this many unpacked bytes


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: _Kind
    points_to: str  # target of a link, relative to the root of the archive
    open: Callable[[], IO[bytes]]


_USUAL = Limits()


class _Budget:
    """Counts the bytes that are actually unpacked, whatever the archive declares."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._packed = archive.stat().st_size
        self._total = 0
        self.member = "(start)"

    def spend(self, size: int) -> None:
        self._total += size
        if self._total > self._limits.total:
            raise self.refused(f"brings the unpacked size to more than {self._limits.total} bytes in total")
        if self._total > max(self._limits.ratio_from, self._limits.ratio * self._packed):
            raise self.refused(
                f"brings the unpacked size to more than {self._limits.ratio} times the archive's"
                f" {self._packed} bytes, which text does not reach"
            )

    def blocks(self, file: IO[bytes], is_spent: bool) -> Iterator[bytes]:
        size = 0
        with _damage_named(self._archive):
            while block := file.read(_BLOCK):
                size += len(block)
                if size > self._limits.member:
                    raise self.refused(f"is larger than {self._limits.member} bytes")
                if is_spent:
                    self.spend(len(block))
                yield block

    def refused(self, why: str) -> DataError:
        return DataError(f"{self._archive}: the member {self.member!r} {why}. Nothing was unpacked")


def extract(archive: Path, members: Mapping[str, str], folder: Path, limits: Limits = _USUAL) -> None:
    """Write each named member to `folder/members[name]`: all of them, or none.

    Raises DataError with the archive and the member if a member is missing or unsafe, ResourceError if the
    disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
            seen = set()
            for name, blocks in read_members(archive, members.__contains__, limits):
                with (Path(temporary) / members[name]).open("wb") as file:
                    file.writelines(blocks)
                seen.add(name)
            if missing := [name for name in members if name not in seen]:
                raise DataError(f"{archive} does not contain {listed(missing)}. Nothing was unpacked")
            for target in members.values():
                os.replace(Path(temporary) / target, folder / target)
    except OSError as error:
        raise storage_error(folder, error) from error


def read_members(
    archive: Path,
    is_wanted: Callable[[str], bool],
    limits: Limits = _USUAL,
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The selected files of a zip or tar.gz archive, each with its blocks, in the order of the archive.

    Consume the blocks of a member before requesting the next one. Raises DataError, also for an unsafe member
    that was not selected.
    """
    budget = _Budget(archive, limits)
    is_zip = archive.name.endswith(".zip")
    if not is_zip and not archive.name.endswith((".tar.gz", ".tgz")):
        raise DataError(f"{archive}: expected a .zip, .tar.gz or .tgz archive")
    seen: set[str] = set()
    with _damage_named(archive):
        for member in _zip_members(archive, budget) if is_zip else _tar_members(archive, budget):
            budget.member = member.name
            if unsafe := _unsafe(member):
                raise budget.refused(unsafe)
            if not is_wanted(member.name):
                continue
            if member.kind != "file":
                raise budget.refused(f"is a {member.kind}, not a file")
            if member.name in seen:
                raise budget.refused("occurs twice")
            seen.add(member.name)
            with member.open() as file:
                yield member.name, budget.blocks(file, is_spent=is_zip)


def _unsafe(member: _Member) -> str | None:
    if member.kind == "device":
        return "is a device"
    if _leaves(member.name) or ".." in member.name.replace("\\", "/").split("/"):
        return "has a path outside the target folder"
    if member.kind == "link" and _leaves(member.points_to):
        return f"is a link to a path outside the target folder, {member.points_to!r}"
    return None


def _leaves(name: str) -> bool:
    """Whether a path leads outside the target folder, on any operating system."""
    path = name.replace("\\", "/")
    return bool(PureWindowsPath(name).anchor) or posixpath.normpath(path).split("/")[0] in ("..", "")


def _link_path(name: str, target: str) -> str:
    return target if PureWindowsPath(target).anchor else posixpath.join(posixpath.dirname(name), target)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{archive} is corrupt or not an archive: {error}. Nothing was unpacked") from error


def _zip_members(archive: Path, budget: _Budget) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            budget.member = info.filename
            mode = info.external_attr >> 16
            if info.flag_bits & 1 or info.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise budget.refused("is encrypted or uses an unsupported compression method")

            def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return file.open(info)

            points_to = ""
            kind: _Kind = "folder" if info.filename.endswith("/") else "file"
            if stat.S_ISLNK(mode):
                with file.open(info) as link:
                    points_to = _link_path(info.filename, link.read(_BLOCK).decode("utf-8", "replace"))
                kind = "link"
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "device"
            yield _Member(info.filename, kind, points_to, opened)


def _tar_members(archive: Path, budget: _Budget) -> Iterator[_Member]:
    with gzip.open(archive) as packed:
        counted = _Counted(packed, budget)
        with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|") as file:
            for info in file:

                def opened(info: tarfile.TarInfo = info) -> IO[bytes]:
                    return cast(IO[bytes], file.extractfile(info))

                kind: _Kind = "file" if info.isreg() else "folder" if info.isdir() else "device"
                points_to = ""
                if info.issym() or info.islnk():
                    kind = "link"
                    points_to = _link_path(info.name, info.linkname) if info.issym() else info.linkname
                yield _Member(info.name, kind, points_to, opened)
        while counted.read(_BLOCK):
            pass  # gzip verifies its checksum at the end of the stream


class _Counted:
    """The unpacked stream that tarfile reads. Every byte counts, whatever the headers declare."""

    def __init__(self, stream: gzip.GzipFile, budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._budget.spend(len(block))
        return block
