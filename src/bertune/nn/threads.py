"""Chooses the number of threads by what the processor really gives, at the start and while training.

Every parallel section of torch ends when its slowest thread does. Beside a busy process one of the threads
has to share its core, so all others wait for it, and fewer threads are faster; beside a process of low
priority they are not. Only a measurement tells the two apart.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import torch

_QUIET = 0.3  # cores short: less is what a machine without work of its own shows
_WINDOW = 3.0  # seconds over which the use of the processor is measured
_PATIENCE = 2  # windows in a row with too few cores before threads are measured again
_GAIN = 1.1  # fewer threads must be this much faster: noise must not decide
_LEAST_WINDOW = 0.1  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 6.0, 60.0  # seconds between measurements, doubled where one changes nothing
_PROBE_SECONDS, _PROBE_ROUNDS = 0.05, 3  # of one candidate, of several in turn
_ROWS, _WIDTH, _INNER = 256, 384, 1536  # of the product that is timed: a small encoder's

Measure = Callable[[list[int]], Mapping[int, float]]  # numbers of threads -> speed of each


@dataclass(frozen=True)
class CpuTimes:
    """Seconds of processor time up to now, over the cores that this process may use."""

    wall: float
    busy: float  # of all processes on all of these cores
    own: float

    @classmethod
    def now(cls) -> "CpuTimes":
        return cls(time.perf_counter(), _busy_seconds(), time.process_time())

    def others_since(self, before: "CpuTimes") -> float:
        """Cores that other processes kept busy since then, on average."""
        wall = self.wall - before.wall
        return max(0.0, (self.busy - before.busy - (self.own - before.own)) / wall) if wall > 0 else 0.0


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the processor quota of its container."""
    cores = len(_allowed_cores())
    quota = _quota(Path("/sys/fs/cgroup"))
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def candidates(most: int, cores: int, others: float) -> list[int]:
    """The numbers of threads worth measuring beside processes that use `others` of the cores; most first."""
    short = most + others - cores
    return [most] if short < _QUIET or most == 1 else [most, max(1, most - math.ceil(short - _QUIET))]


def fastest(speeds: Mapping[int, float]) -> int:
    """The number of threads to use: the greatest one, unless fewer are clearly faster."""
    most = max(speeds)
    best = max(speeds, key=lambda threads: speeds[threads])
    return best if speeds[best] > _GAIN * speeds[most] else most


class ThreadTuner:
    """Keeps torch at the number of threads that is fastest now, at most `most`.

    Used as a context: it chooses at the start, after some work, and at the end puts back what was set before.
    Another number of threads gives other last bits. On a machine that is otherwise idle the number is always
    `most`, so runs repeat bit for bit there; without `is_free` it is `most` everywhere.
    """

    def __init__(
        self,
        most: int,
        is_free: bool = True,
        cores: int | None = None,
        measure: Measure | None = None,
        clock: Callable[[], CpuTimes] = CpuTimes.now,
    ) -> None:
        self.threads = most
        self.most = most
        self._is_free = is_free and most > 1
        self._before = torch.get_num_threads()
        self._cores = len(_allowed_cores()) if cores is None else cores
        self._measure = measure or measured_speeds
        self._clock = clock
        self._since = clock()
        self._num_short = 0  # windows in a row with too few cores
        self._pause = _FIRST_PAUSE
        self._next_measurement = 0.0

    def __enter__(self) -> Self:
        if self._is_free:
            now = self._clock()
            if now.wall - self._since.wall < _LEAST_WINDOW:
                time.sleep(_LEAST_WINDOW)
                now = self._clock()
            wanted = candidates(self.most, self._cores, now.others_since(self._since))
            self._use(wanted[0] if len(wanted) == 1 else self._measured(wanted, now))
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_free:
            self._use(self._before)

    def check(self) -> bool:
        """Whether the number of threads was changed. Call between steps, as often as you like."""
        if not self._is_free:
            return False
        now = self._clock()
        if now.wall - self._since.wall < _WINDOW:
            return False
        before, others = self.threads, now.others_since(self._since)
        self._since = now
        wanted = candidates(self.most, self._cores, others)
        if len(wanted) == 1:
            self._num_short, self._pause = 0, _FIRST_PAUSE
            self._use(self.most)
            return self.threads != before
        self._num_short += 1
        if self._num_short >= _PATIENCE and now.wall >= self._next_measurement:
            self._use(self._measured(wanted, now))
        return self.threads != before

    def _measured(self, wanted: list[int], now: CpuTimes) -> int:
        """The fastest of some numbers of threads; one that changes nothing is not soon measured again."""
        found = fastest(self._measure(wanted))
        self._pause = _FIRST_PAUSE if found != self.threads else min(2 * self._pause, _LONGEST_PAUSE)
        self._next_measurement = now.wall + self._pause
        self._since = self._clock()
        return found

    def _use(self, threads: int) -> None:
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        self.threads = threads


def measured_speeds(wanted: list[int]) -> dict[int, float]:
    """Products per second with each number of threads, the median of rounds in turn. Takes half a second."""
    before = torch.get_num_threads()
    x, weight = torch.ones(_ROWS, _WIDTH), torch.ones(_INNER, _WIDTH)
    found: dict[int, list[float]] = {threads: [] for threads in wanted}
    try:
        for _ in range(_PROBE_ROUNDS):
            for threads in wanted:
                torch.set_num_threads(threads)
                found[threads].append(_rate(x, weight))
    finally:
        torch.set_num_threads(before)
    return {threads: statistics.median(rates) for threads, rates in found.items()}


def _rate(x: torch.Tensor, weight: torch.Tensor) -> float:
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < _PROBE_SECONDS:
        torch.nn.functional.gelu(torch.nn.functional.linear(x, weight))
        number += 1
    return number / (time.perf_counter() - started)


def _allowed_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _busy_seconds() -> float:
    times = psutil.cpu_times(percpu=True)
    chosen = [times[core] for core in _allowed_cores() if core < len(times)]
    # Time of guests is part of the user's, and waiting for a disk is no work.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(value for one in chosen for name, value in one._asdict().items() if name not in idle))


def _quota(groups: Path) -> float | None:
    """Cores that a container may use at once (cgroup v2, or v1); None where there is no such limit."""
    try:
        limit, period = (groups / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            limit = (groups / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (groups / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        except OSError:
            return None
    return None if limit == "max" or float(limit) <= 0 else float(limit) / float(period)
