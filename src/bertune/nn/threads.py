"""Choose the number of threads by measuring, at the start of training and between steps.

Every parallel section of torch ends when its slowest thread ends. If another process keeps a core busy, one
thread has to share its core and all others wait for it, so fewer threads are faster. If the other process has
a low priority, they are not. Only a measurement can distinguish the two cases.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import psutil
import torch

from bertune.cores import allowed_cores

_QUIET = 0.3  # missing cores; an idle machine shows less than this
_WINDOW = 3.0  # seconds over which CPU usage is measured
_PATIENCE = 2  # consecutive windows with too few cores before speeds are measured again
_GAIN = 1.1  # fewer threads must be faster by this factor, so that noise does not decide
_LEAST_WINDOW = 0.1  # seconds
# Seconds between measurements; doubled after a measurement that changes nothing.
_FIRST_PAUSE, _LONGEST_PAUSE = 6.0, 60.0
# Per candidate and round; rounds alternate between candidates. In shorter windows, and in the first round, a
# new thread may still share its core, or still have a higher priority.
_PROBE_SECONDS, _PROBE_ROUNDS = 0.15, 4
_ROWS, _WIDTH, _INNER = 256, 384, 1536  # sizes of the timed matrix product, as in a small encoder

Measure = Callable[[list[int]], Mapping[int, float]]  # numbers of threads -> speed by number


@dataclass(frozen=True)
class CpuTimes:
    """Accumulated CPU time in seconds on the cores that this process may use."""

    wall: float
    busy: float  # total over all processes on these cores
    own: float

    @classmethod
    def now(cls) -> "CpuTimes":
        return cls(time.perf_counter(), _busy_seconds(), time.process_time())

    def others_since(self, before: "CpuTimes") -> float:
        """The average number of cores that other processes kept busy since `before`."""
        wall = self.wall - before.wall
        return max(0.0, (self.busy - before.busy - (self.own - before.own)) / wall) if wall > 0 else 0.0


def candidates(most: int, cores: int, others: float) -> list[int]:
    """The numbers of threads worth measuring if other processes use `others` cores; largest first."""
    short = most + others - cores
    return [most] if short < _QUIET or most == 1 else [most, max(1, most - math.ceil(short - _QUIET))]


def fastest(speeds: Mapping[int, float]) -> int:
    """The number of threads to use: the maximum, unless fewer are clearly faster."""
    most = max(speeds)
    best = max(speeds, key=lambda threads: speeds[threads])
    return best if speeds[best] > _GAIN * speeds[most] else most


class ThreadTuner:
    """Keeps torch at the currently fastest number of threads, at most `most`.

    Used as a context manager: chooses the number on entry and restores the previous one on exit. Call `check`
    between steps. A different number of threads changes the last bits of results. On an otherwise idle
    machine the number is always `most`, so runs are bitwise reproducible there. With `is_free=False` it is
    always `most`.
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
        self._cores = len(allowed_cores()) if cores is None else cores
        self._measure = measure or measured_speeds
        self._clock = clock
        self._since = clock()
        self._num_short = 0  # consecutive windows with too few cores
        self._pause = _FIRST_PAUSE
        self._next_measurement = 0.0

    def __enter__(self) -> Self:
        if self._is_free:
            now = self._clock()
            if now.wall - self._since.wall < _LEAST_WINDOW:
                time.sleep(_LEAST_WINDOW)
                now = self._clock()
            options = candidates(self.most, self._cores, now.others_since(self._since))
            self._use(options[0] if len(options) == 1 else self._measured(options, now))
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_free:
            self._use(self._before)

    def check(self) -> bool:
        """Adapt the number of threads. Returns whether it changed. Cheap enough to call after every step."""
        if not self._is_free:
            return False
        now = self._clock()
        if now.wall - self._since.wall < _WINDOW:
            return False
        before, others = self.threads, now.others_since(self._since)
        self._since = now
        options = candidates(self.most, self._cores, others)
        if len(options) == 1:
            self._num_short, self._pause = 0, _FIRST_PAUSE
            self._use(self.most)
            return self.threads != before
        self._num_short += 1
        if self._num_short >= _PATIENCE and now.wall >= self._next_measurement:
            self._use(self._measured(options, now))
        return self.threads != before

    def _measured(self, options: list[int], now: CpuTimes) -> int:
        """The fastest number of threads. If it is unchanged, the pause until the next measurement doubles."""
        best = fastest(self._measure(options))
        self._pause = _FIRST_PAUSE if best != self.threads else min(2 * self._pause, _LONGEST_PAUSE)
        self._next_measurement = now.wall + self._pause
        self._since = self._clock()
        return best

    def _use(self, threads: int) -> None:
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        self.threads = threads


def measured_speeds(numbers: list[int]) -> dict[int, float]:
    """Products per second for each number of threads, the median of alternating rounds after the first.

    Takes 1.2 s for two candidates.
    """
    before = torch.get_num_threads()
    x, weight = torch.ones(_ROWS, _WIDTH), torch.ones(_INNER, _WIDTH)
    rates: dict[int, list[float]] = {threads: [] for threads in numbers}
    try:
        for _ in range(_PROBE_ROUNDS):
            for threads in numbers:
                torch.set_num_threads(threads)
                rates[threads].append(_rate(x, weight))
    finally:
        torch.set_num_threads(before)
    return {threads: statistics.median(values[1:]) for threads, values in rates.items()}


def _rate(x: torch.Tensor, weight: torch.Tensor) -> float:
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < _PROBE_SECONDS:
        torch.nn.functional.gelu(torch.nn.functional.linear(x, weight))
        number += 1
    return number / (time.perf_counter() - started)


def _busy_seconds() -> float:
    times = psutil.cpu_times(percpu=True)
    chosen = [times[core] for core in allowed_cores() if core < len(times)]
    # Guest time is included in user time, and waiting for I/O does not occupy the core.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(value for one in chosen for name, value in one._asdict().items() if name not in idle))
