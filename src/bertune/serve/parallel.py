"""How a service computes several batches of a graph on a CPU at the same time.

ONNX Runtime splits each operation of a graph among the threads of a session and waits for the slowest one,
which the event loop and other processes often interrupt. Batches with one thread each do not wait for one
another, so as many are computed at the same time as there are cores. Only a long text that arrives while most
cores are idle is computed with several threads, on half of the cores: with all of them, the texts that arrive
meanwhile would wait.

On Linux, these threads have the scheduling policy SCHED_BATCH: they keep their share of the cores, but do not
preempt the event loop when they wake up.
"""

import contextlib
import os
import threading
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bertune.cores import available_cores
from bertune.predict.backend import Backend, BackendOutputs, Poll, Runtime, never_stop
from bertune.predict.onnx_backend import OnnxBackend
from bertune.text.sequences import Sequence

# A text is long if one core takes about 30 ms for it: 65 tokens with 90 MB of weights.
_LONG = 6e9  # tokens x bytes of weights
_FEW = 0.25  # share of the cores up to which others may be busy when a long text gets several


class GraphCalls:
    """The backend of a graph on a CPU, for threads that each compute one batch with it."""

    def __init__(self, backend: OnnxBackend, cores: int) -> None:
        self._backend = backend
        self.calls = min(backend.graph.calls, cores)  # batches at the same time
        self._lock = threading.Lock()
        self._running = 0

    @property
    def runtime(self) -> Runtime:
        """The library that runs the network, with the size of one batch."""
        return replace(self._backend.runtime, micro_batch_tokens=self._backend.micro_batch_tokens)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of one batch. Raises the errors of the backend, and whatever `poll` raises."""
        poll()
        is_long = self._backend.graph.work(sum(map(len, sequences))) >= _LONG
        with self._lock:
            is_idle = self._running <= _FEW * (self.calls - 1)
            self._running += 1
        try:
            threads = max(1, self.calls // 2) if is_long and is_idle else 1
            return BackendOutputs(self._backend.one_batch(sequences, threads))
        finally:
            with self._lock:
                self._running -= 1


def concurrent(backend: Backend) -> tuple[Backend, int]:
    """The backend as a service calls it, and the number of batches that it computes at the same time."""
    if isinstance(backend, OnnxBackend) and backend.graph.machine.gpu is None:
        calls = GraphCalls(backend, available_cores())
        return calls, calls.calls
    return backend, 1


class ComputeThreads:
    """The threads that compute the batches of all models of a service."""

    def __init__(self) -> None:
        self.single = ThreadPoolExecutor(1, thread_name_prefix="bertune-compute")  # also loads the models
        self.several = ThreadPoolExecutor(
            available_cores(), thread_name_prefix="bertune-graph", initializer=_mark_as_computing
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
