"""The number of threads: how it is chosen, changed only under lasting contention, and restored."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

from bertune.cores import _quota
from bertune.nn.threads import CpuTimes, ThreadTuner, candidates, fastest, measured_speeds


@pytest.mark.parametrize(
    ("most", "cores", "others", "expected"),
    [
        (2, 2, 0.0, [2]),
        (2, 2, 0.2, [2]),  # the activity of an idle system
        (2, 2, 1.0, [2, 1]),
        (2, 2, 2.0, [2, 1]),
        (1, 2, 2.0, [1]),
        (16, 16, 1.0, [16, 15]),
        (16, 16, 5.2, [16, 11]),
        (16, 64, 10.0, [16]),  # the threads of a container fit beside the other load
    ],
)
def test_fewer_threads_are_tried_only_if_cores_are_busy(
    most: int, cores: int, others: float, expected: list[int]
) -> None:
    assert candidates(most, cores, others) == expected


def test_fewer_threads_are_used_only_if_clearly_faster() -> None:
    assert fastest({2: 100.0, 1: 105.0}) == 2
    assert fastest({2: 100.0, 1: 212.0}) == 1
    assert fastest({2: 100.0, 1: 70.0}) == 2


class Machine:
    """CPU times of two cores with other load; every reading is a second later."""

    def __init__(self) -> None:
        self.others = 0.0
        self.now = CpuTimes(0.0, 0.0, 0.0)
        self.speeds: Mapping[int, float] = {2: 70.0, 1: 149.0}
        self.num_measured = 0

    def clock(self) -> CpuTimes:
        own = 1.0
        self.now = CpuTimes(self.now.wall + 1, self.now.busy + self.others + own, self.now.own + own)
        return self.now

    def measure(self, _: list[int]) -> Mapping[int, float]:
        self.num_measured += 1
        return self.speeds

    def threads_over(self, tuner: ThreadTuner, seconds: int) -> list[int]:
        found = []
        for _ in range(seconds):
            tuner.check()
            found.append(torch.get_num_threads())
        return found


@pytest.fixture
def machine() -> Iterator[Machine]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield Machine()
    torch.set_num_threads(before)


def test_on_idle_cores_the_number_of_threads_is_kept_without_measuring(machine: Machine) -> None:
    with ThreadTuner(2, cores=2, measure=machine.measure, clock=machine.clock) as tuner:
        assert set(machine.threads_over(tuner, 30)) == {2}
    assert machine.num_measured == 0


def test_a_process_that_runs_from_the_start_is_considered_immediately(machine: Machine) -> None:
    machine.others = 1.0
    with ThreadTuner(2, cores=2, measure=machine.measure, clock=machine.clock) as tuner:
        assert tuner.threads == torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2  # restored


def test_the_number_of_threads_follows_a_process_that_starts_and_ends(machine: Machine) -> None:
    with ThreadTuner(2, cores=2, measure=machine.measure, clock=machine.clock) as tuner:
        machine.threads_over(tuner, 9)
        machine.others = 1.0
        busy = machine.threads_over(tuner, 30)
        machine.others = 0.0
        idle = machine.threads_over(tuner, 9)
    assert busy[:3] == [2, 2, 2], "a moment is not for long"
    assert busy[-20:] == [1] * 20
    assert idle[-1] == 2


def test_a_low_priority_process_changes_nothing_and_is_measured_less_often(
    machine: Machine,
) -> None:
    machine.speeds = {2: 212.0, 1: 149.0}
    machine.others = 1.0  # the other load uses what one thread leaves over
    with ThreadTuner(2, cores=2, measure=machine.measure, clock=machine.clock) as tuner:
        assert set(machine.threads_over(tuner, 300)) == {2}
    assert 3 <= machine.num_measured <= 12


def test_a_number_of_threads_set_by_the_user_is_kept(machine: Machine) -> None:
    machine.others = 2.0
    with ThreadTuner(2, is_free=False, cores=2, measure=machine.measure, clock=machine.clock) as tuner:
        assert set(machine.threads_over(tuner, 60)) == {2}
    assert machine.num_measured == 0


def test_speeds_are_measured_with_real_products_without_side_effects(machine: Machine) -> None:
    speeds = measured_speeds([2, 1])
    assert set(speeds) == {1, 2} and min(speeds.values()) > 0
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_cpu_quota_of_a_container_is_read(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert _quota(tmp_path) == expected
