"""Times the steps of a training run and reports its throughput."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bertune.bench.floor import Load
from bertune.bench.job import WARMUP_STEPS, Job


class StepClock:
    """Times the steps after a warm-up, or all steps if the job is timed as a whole."""

    def __init__(self, job: Job, warmup: int = WARMUP_STEPS, period: int | None = None) -> None:
        self._seconds = job.seconds
        self._period = job.period if period is None else period
        self.is_whole = job.is_whole
        self.first = 0 if job.is_whole else warmup  # steps before the timed ones
        self._plan = job.epochs * job.steps_per_epoch
        self._is_cuda = job.device == "cuda"
        self._moments: list[tuple[float, float]] = [_now()]

    def tick(self) -> None:
        """Records the end of a step. Synchronizes the GPU where the timed interval may begin or end."""
        timed = len(self._moments) - self.first
        if self._is_cuda and timed >= 0 and (timed % self._period == 0 or timed == self._plan):
            import torch

            torch.cuda.synchronize()
        self._moments.append(_now())

    @property
    def steps(self) -> int:
        """Number of timed steps so far."""
        return max(0, len(self._moments) - 1 - self.first)

    @property
    def is_done(self) -> bool:
        """Whether enough steps were timed. A job that is timed as a whole runs to the end of its plan."""
        return (
            not self.is_whole
            and self.steps > 0
            and self.steps % self._period == 0
            and self._elapsed(0) >= self._seconds
        )

    def result(self, loads: Sequence[tuple[Load, Load]], **more: Any) -> dict[str, Any]:
        """The measurements as JSON values, with `more` added.

        `loads` has the load of each step without and with padding. Raises RuntimeError if no step was timed.
        """
        if not self.steps:
            raise RuntimeError(f"the training ended within its {self.first} steps of warm-up")
        timed = loads[self.first : self.first + self.steps]
        real = sum((own for own, _ in timed), Load())
        padded = sum((with_padding for _, with_padding in timed), Load())
        return {
            "examples_per_second": real.sequences / self._elapsed(0),
            "steps": self.steps,
            "seconds": self._elapsed(0),
            "cpu_seconds": self._elapsed(1),
            "load": asdict(real),
            "padded_load": asdict(padded),
            **more,
        }

    def _elapsed(self, kind: int) -> float:
        return self._moments[-1][kind] - self._moments[self.first][kind]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
