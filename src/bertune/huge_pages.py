"""Keep the weights of a model in huge pages of memory, which a CPU reads faster.

A single short text needs little computation, but all the weights, and a CPU prefetches memory only within a
page. Pages are usually 4 KB. Linux also has pages of 2 MB ("transparent huge pages"), but with the settings
of most distributions, it only uses them for memory that a program marks.
"""

import contextlib
import ctypes
import mmap
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

_SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
_MAPS = Path("/proc/self/maps")
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # from sys/mman.h; the latter needs Linux 6.1
_MOSTLY = 0.9  # share of a block that must be in use, because a huge page occupies all of it

Area = tuple[int, int]  # first address, and the one after the last


@contextlib.contextmanager
def huge_pages() -> Iterator[None]:
    """Move the memory that is allocated in the block to huge pages, at its end.

    Takes about 0.5 ms per MB. Does nothing if the system has no huge pages, or if they are switched off.
    """
    size = _page_size()
    before = list(_areas()) if size else []
    yield
    if size:
        for start, end in _runs(_new_blocks(before, list(_areas()), size)):
            _move(start, end)


def _page_size() -> int:
    """The size of a huge page in bytes; 0 without."""
    if sys.platform != "linux":
        return 0
    try:
        _MAPS.open().close()
        is_off = "[never]" in (_SETTINGS / "enabled").read_text()
        return 0 if is_off else int((_SETTINGS / "hpage_pmd_size").read_text())
    except OSError:  # a kernel without them, or a container that hides them
        return 0


def _areas() -> Iterator[Area]:
    """The areas of private memory of this process that do not belong to a file, in ascending order."""
    # Bytes, because file names may have any encoding, and contain any line break but this one.
    for line in _MAPS.read_bytes().strip().split(b"\n"):
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == b"rw-p" and inode == b"0" and (not name or name[0].startswith((b"[heap]", b"[anon"))):
            start, _, end = addresses.partition(b"-")
            yield int(start, 16), int(end, 16)


def _new_blocks(before: list[Area], after: list[Area], size: int) -> Iterator[Area]:
    """The blocks of `size` bytes, at multiples of it, that are in `after` but not in `before`, and in use.

    All areas are in ascending order.
    """
    starts = [start for start, _ in before]
    for start, end in after:
        for first in range(-(-start // size) * size, end - size + 1, size):
            last = bisect_left(starts, first + size) - 1  # the last older area that starts before the end
            is_new = last < 0 or before[last][1] <= first
            if is_new and _share_in_use(first, size) >= _MOSTLY:
                yield first, first + size


def _share_in_use(start: int, size: int) -> float:
    """The share of the pages of a block that are in memory."""
    pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    if _libc().mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), pages):
        return 0.0  # the memory was freed
    return sum(page & 1 for page in pages) / len(pages)


def _runs(blocks: Iterable[Area]) -> list[Area]:
    """Adjacent blocks together."""
    found: list[Area] = []
    for start, end in blocks:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _move(start: int, end: int) -> None:
    """Ask the kernel to use huge pages for an area: at once if it can, otherwise eventually.

    Without free huge pages, the area stays as it is.
    """
    for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
        _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(advice))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
