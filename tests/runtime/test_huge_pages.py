"""Memory in huge pages: the addresses as pure functions, and real memory where the kernel has such pages."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from bertune import huge_pages
from bertune.huge_pages import huge_pages as in_huge_pages

MB = 2**20
SIZE = 2 * MB


def in_huge_mb() -> float:
    """The private memory of this process in huge pages, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:")) / 1024


def filled(size: int) -> mmap.mmap:
    """New memory. NumPy's arrays would not do, because NumPy asks for huge pages itself."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(bytes(range(256)) * (size // 256))
    return memory


def can_move() -> bool:
    """Whether the kernel moves memory to huge pages when it is told to (Linux 6.1 or later)."""
    settings = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not settings.is_file() or "[never]" in settings.read_text():
        return False
    memory = filled(3 * SIZE)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    try:
        memory.madvise(25, -address % SIZE, SIZE)  # MADV_COLLAPSE
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([], [(0, SIZE)], [(0, SIZE)], id="new area"),
        pytest.param([(0, SIZE)], [(0, SIZE)], [], id="known area"),
        pytest.param([(0, SIZE)], [(0, 3 * SIZE)], [(SIZE, 2 * SIZE), (2 * SIZE, 3 * SIZE)], id="grown area"),
        pytest.param([(0, SIZE + 1)], [(0, 3 * SIZE)], [(2 * SIZE, 3 * SIZE)], id="partly known block"),
        pytest.param([], [(1, 2 * SIZE + 5)], [(SIZE, 2 * SIZE)], id="only whole blocks"),
        pytest.param([], [(1, SIZE)], [], id="too small"),
    ],
)
def test_only_whole_new_blocks_are_moved(
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
    expected: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huge_pages, "_share_in_use", lambda start, size: 1.0)
    assert list(huge_pages._new_blocks(before, after, SIZE)) == expected


def test_blocks_that_are_hardly_used_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "_share_in_use", lambda start, size: 0.5)
    assert list(huge_pages._new_blocks([], [(0, 4 * SIZE)], SIZE)) == []


def test_adjacent_blocks_are_moved_together() -> None:
    assert huge_pages._runs([(0, 2), (2, 4), (6, 8)]) == [(0, 4), (6, 8)]


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs /proc/self/maps of Linux")
def test_the_used_share_of_memory_is_measured() -> None:
    memory = mmap.mmap(-1, 3 * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array = np.frombuffer(memory, np.uint8)
    start = -(-array.ctypes.data // SIZE) * SIZE
    first = start - array.ctypes.data
    assert huge_pages._share_in_use(start, SIZE) == 0
    array[first : first + SIZE // 2 : mmap.PAGESIZE] = 1
    assert huge_pages._share_in_use(start, SIZE) == 0.5
    assert any(begin <= start < end for begin, end in huge_pages._areas())


@pytest.mark.skipif(not can_move(), reason="needs transparent huge pages and Linux 6.1")
def test_new_memory_is_moved_with_its_content_and_older_memory_is_not() -> None:
    older = filled(32 * MB)
    before = in_huge_mb()
    with in_huge_pages():
        newer = filled(32 * MB)
    assert in_huge_mb() - before == pytest.approx(32, abs=6)
    assert newer[:] == older[:] == bytes(range(256)) * (32 * MB // 256)


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs /proc/self/maps of Linux")
@pytest.mark.parametrize(
    "name", [b"caf\xe9.bin", "line\u2028break\x85.bin".encode(), b"a b\nc.bin", b"a\rb.bin"]
)
def test_mapped_files_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(bytes(4096))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE):
        areas = list(huge_pages._areas())
    assert areas == sorted(areas) and areas


def test_each_block_is_compared_with_the_older_areas_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "_share_in_use", lambda start, size: 1.0)
    before = [(number * SIZE + 4096, number * SIZE + 8192) for number in range(200) if number != 120]
    found = huge_pages._new_blocks(before, [(0, 200 * SIZE)], SIZE)
    assert list(found) == [(120 * SIZE, 121 * SIZE)]


def test_nothing_happens_if_they_are_switched_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path)
    monkeypatch.setattr(huge_pages, "_move", pytest.fail)
    with in_huge_pages():
        memory = filled(16 * MB)
    assert memory[-1] == 255
