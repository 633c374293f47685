"""How a service shares the cores of a CPU between batches that are computed at the same time.

ONNX Runtime splits each operation of a graph among its threads and waits for the slowest one. On few cores,
the event loop and other processes often interrupt one of these threads, and the others wait. Two batches with
half of the threads each wait less, and a request does not have to wait until a batch of others is finished.

On Linux, these threads have the scheduling policy SCHED_BATCH: they keep their share of the cores, but do not
preempt the event loop when they wake up.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bertune.cores import available_cores

_CALLS = 2  # batches of graphs at the same time


@dataclass(frozen=True)
class Division:
    """How many batches of a model are computed at the same time, and the CPU threads of each."""

    calls: int
    threads: int

    @classmethod
    def of_graphs(cls, threads: int | None) -> "Division":
        """The division of `threads`, or else of all usable cores, for graphs."""
        usable = threads or available_cores()
        calls = min(_CALLS, usable)
        return cls(calls, usable // calls)


class ComputeThreads:
    """The threads that compute the batches of all models of a service."""

    def __init__(self) -> None:
        self.single = ThreadPoolExecutor(1, thread_name_prefix="bertune-compute")  # also loads the models
        self.several = ThreadPoolExecutor(
            _CALLS, thread_name_prefix="bertune-graph", initializer=_mark_as_computing
        )

    def shutdown(self) -> None:
        """Wait until the threads have ended."""
        self.single.shutdown()
        self.several.shutdown()


def _mark_as_computing() -> None:
    """Keep the calling thread from preempting threads that run only briefly."""
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # not allowed in every container
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
