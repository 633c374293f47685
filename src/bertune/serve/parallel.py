"""How a service computes several batches of graphs on a CPU at the same time.

ONNX Runtime splits each operation of a graph among the threads of a session and waits for the slowest one,
which the event loop and other processes often interrupt. Batches with one thread each do not wait for one
another, so as many are computed at the same time as there are cores. Only a long text that arrives while most
cores are idle is computed with several threads, on half of the cores: with all of them, the texts that arrive
meanwhile would wait.

On Linux, the Python threads that call ONNX Runtime have the scheduling policy SCHED_BATCH: they keep their
share of the cores, but do not preempt the event loop when they wake up. On two cores, each thread is pinned
to its own core. Without this, Linux sometimes wakes a thread on the core on which another one computes, and
leaves it there for several milliseconds while the other core is idle.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

from bertune.config import Config
from bertune.cores import allowed_cores
from bertune.predict.backend import Backend, BackendOutputs, Poll, Runtime, never_stop
from bertune.predict.graphs import usual_threads
from bertune.predict.onnx_backend import OnnxBackend
from bertune.text.sequences import Sequence

# Tokens x bytes of weights from which a text is long. One core takes about 30 ms for this: for 65 tokens with
# 90 MB of weights.
_LONG = 6e9
# The number of cores to which threads are pinned. With more cores, Linux usually finds an idle one, and the
# threads of an ONNX Runtime session that a pinned thread opens would be on the same core.
_PINNED_CORES = 2
_FEW = 0.25  # share of the calls up to which others may be running when a long text gets several threads


class ComputeThreads:
    """The threads that compute the batches of all models of a service."""

    def __init__(self, calls: int | None = None, pin: bool = True) -> None:
        """At most `calls` batches of graphs are computed at the same time; by default, one on each core.

        With `pin`, two threads on two cores are pinned to a core each.
        """
        self.calls = calls or usual_threads()
        self.single = ThreadPoolExecutor(1, thread_name_prefix="bertune-compute")  # also loads the models
        cores = allowed_cores()
        is_pinned = pin and self.calls == len(cores) == _PINNED_CORES
        self.several = GraphThreads(self.calls, cores if is_pinned else ())
        self.running = _Running()

    @classmethod
    def of(cls, config: Config) -> "ComputeThreads":
        """The threads that the settings ask for."""
        limit = config.machine.threads
        return cls(None if limit == "auto" else int(limit), config.serve.pin_threads)

    def shutdown(self) -> None:
        """Wait until the threads have ended."""
        self.single.shutdown()
        self.several.shutdown()


class _Running:
    """Counts the batches of graphs that are being computed; a context manager around each of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0

    def __enter__(self) -> int:
        """The number of others."""
        with self._lock:
            others = self._number
            self._number += 1
        return others

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._number -= 1


class GraphThreads:
    """Threads that call functions. An executor would also create a future for every call."""

    def __init__(self, most: int, cores: SequenceOf[int] = ()) -> None:
        """Up to `most` threads, started when needed; if `cores` are given, each is pinned to one of them."""
        self._most = most
        self._cores = cores
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None ends a thread
        self._is_closed = False

    def submit(self, work: Callable[[], None], /) -> None:
        """Call a function, which must not raise anything, as soon as a thread is idle.

        Raises RuntimeError after `shutdown`, and if not even one thread can be started.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the threads were shut down")
            if len(self._threads) < self._most:
                with contextlib.suppress(*([RuntimeError] if self._threads else [])):
                    self._start_thread()
            self._work.put(work)

    def shutdown(self) -> None:
        """Wait until everything that was submitted is done, and the threads have ended."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        number = len(self._threads)
        name = f"bertune-graph-{number}"
        thread = threading.Thread(target=self._run, args=(number,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self, number: int) -> None:
        _mark_as_computing()
        if self._cores:
            _pin(self._cores[number], self._cores)
        while (work := self._work.get()) is not None:
            work()
            del work  # otherwise an idle thread keeps the texts of its last batch


class GraphCalls:
    """The backend of a graph on a CPU, for threads that each compute one batch with it."""

    def __init__(self, backend: OnnxBackend, threads: ComputeThreads) -> None:
        self._backend = backend
        self._threads = threads
        self.calls = min(backend.graph.calls, threads.calls)  # batches at the same time

    @property
    def runtime(self) -> Runtime:
        """The library that runs the network, with the size of one batch."""
        return replace(self._backend.runtime, micro_batch_tokens=self._backend.micro_batch_tokens)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of one batch. Raises the errors of the backend, and whatever `poll` raises."""
        poll()
        is_long = len(sequences) == 1 and self._backend.graph.work(len(sequences[0])) >= _LONG
        with self._threads.running as others:
            may_have_several = is_long and others <= _FEW * (self.calls - 1)
            threads = max(1, self.calls // 2) if may_have_several else 1
            return BackendOutputs(self._backend.with_threads(sequences, threads))


def concurrent(backend: Backend, threads: ComputeThreads) -> tuple[Backend, int]:
    """The backend as a service calls it, and the number of batches that it computes at the same time."""
    if isinstance(backend, OnnxBackend) and backend.graph.machine.gpu is None:
        calls = GraphCalls(backend, threads)
        return calls, calls.calls
    return backend, 1


def _mark_as_computing() -> None:
    """Keep the calling thread from preempting threads that run only briefly."""
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # not allowed in every container
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _pin(core: int, cores: SequenceOf[int]) -> None:
    """Pin the calling thread to one of the cores; allow it to use all of them if that is not possible."""
    if hasattr(os, "sched_setaffinity"):
        for allowed in ((core,), cores):
            # The cores of the container may have changed. The thread that started this one may be pinned.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, allowed)
                return
