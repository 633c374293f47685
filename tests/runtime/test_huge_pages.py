"""Memory in huge pages: the addresses as pure functions, and real memory where the kernel has such pages."""

import mmap
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


def can_move() -> bool:
    """Whether the kernel moves memory to huge pages at once (Linux 6.1 or later)."""
    if not huge_pages._page_size():
        return False
    before = in_huge_mb()
    with in_huge_pages():
        probe = np.ones(8 * MB, np.uint8)
    return in_huge_mb() >= before + 4 and probe[0] == 1


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
    older = np.ones(32 * MB, np.uint8)
    before = in_huge_mb()
    with in_huge_pages():
        rows = np.arange(8 * MB, dtype=np.int32)  # 32 MB
    assert in_huge_mb() - before == pytest.approx(32, abs=6)
    assert (rows == np.arange(8 * MB)).all() and older.all()


def test_nothing_happens_if_they_are_switched_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path)
    monkeypatch.setattr(huge_pages, "_move", pytest.fail)
    with in_huge_pages():
        assert np.ones(16 * MB, np.uint8).all()
