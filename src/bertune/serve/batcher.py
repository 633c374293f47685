"""Continuous batching: the sequences of all requests are computed in common batches.

A batch starts as soon as a thread is free. `schedule` decides which of the waiting sequences it takes. All
models of torch share one thread, in which they are also loaded: a batch uses all cores anyway, and OpenMP is
much slower in a process that uses torch from several threads. Graphs share several threads, and each batch
usually uses one core; see `parallel`.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Protocol

import numpy as np

from bertune.predict.backend import Backend
from bertune.serve.refusals import Overloaded, TooLarge, Unavailable
from bertune.serve.schedule import Costs, Schedule, Waiting
from bertune.tasks import Output
from bertune.text.sequences import Sequence

_NOTHING: Output = np.empty(0, np.float32)  # in place of an output that is not computed yet
_BETWEEN_EXPIRIES = 0.01  # seconds, at least: each time, all pending requests are searched
_MEMORY = 5.0  # seconds of computation, after which a batch counts less than half for the current rate


@dataclass(frozen=True)
class ComputedBatch:
    """The measurements of a computed batch."""

    sequences: int
    tokens: int  # without padding
    padded_tokens: int  # as many as the longest sequence has, for each sequence
    seconds: float  # computing time
    waited: tuple[float, ...]  # seconds, for each sequence


@dataclass(eq=False)
class _Request:
    """The sequences of one request, and their outputs so far."""

    sequences: SequenceOf[Sequence]
    outputs: list[Output]
    missing: int
    done: asyncio.Future[list[Output]]
    arrival: float
    waiting: list[Waiting] = field(default_factory=list)


class _Deadlines:
    """Fails requests that are not done in time, with one timer for all of them. For one event loop."""

    def __init__(self) -> None:
        self._pending: dict[_Request, float] = {}  # times of the event loop
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: _Request, deadline: float) -> None:
        self._pending[request] = deadline
        if self._timer is None or deadline < self._timer.when():
            self._wait_until(deadline)

    def remove(self, request: _Request) -> None:
        # The timer keeps running: replacing it for every request would cost more than one unneeded call.
        self._pending.pop(request, None)

    def _wait_until(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire, deadline)

    def _expire(self, due: float) -> None:
        self._timer = None
        now = max(due, asyncio.get_running_loop().time())  # the event loop may be slightly early
        for request, deadline in self._pending.items():
            if deadline <= now and not request.done.done():
                request.done.set_exception(TimeoutError())
        left = [deadline for deadline in self._pending.values() if deadline > now]
        if left:
            self._wait_until(max(min(left), now + _BETWEEN_EXPIRIES))


class _Rate:
    """Tokens per second of the recent batches."""

    def __init__(self, measured: float) -> None:
        self._seconds = _MEMORY
        self._tokens = measured * _MEMORY

    def add(self, tokens: int, seconds: float) -> None:
        kept = math.exp(-seconds / _MEMORY)
        self._seconds = kept * self._seconds + seconds
        self._tokens = kept * self._tokens + tokens

    @property
    def tokens_per_second(self) -> float:
        return self._tokens / self._seconds


class Threads(Protocol):
    """The threads that compute batches."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Call a function in an idle thread, or later."""
        ...


class Batcher:
    """The queue of one model."""

    def __init__(
        self,
        backend: Backend,
        schedule: Schedule,
        max_queued_tokens: int,
        threads: Threads,
        max_wait: float = math.inf,
    ) -> None:
        """At most `schedule.calls` batches are computed at the same time.

        A request is refused if more tokens than `max_queued_tokens` would wait.

        It is also refused if others wait already and computing all of them would take longer than `max_wait`
        seconds at the rate of the recent batches.
        """
        self._backend = backend
        self._schedule = schedule
        self._max_queued_tokens = max_queued_tokens
        self._max_wait = max_wait
        self._rate = _Rate(schedule.costs.tokens_per_second)
        self.on_batch: Callable[[ComputedBatch], None] = lambda batch: None  # called in the event loop
        self._lock = threading.Lock()
        self._deadlines = _Deadlines()
        self._running = 0  # batches that are being computed
        self._is_closed = False
        self.threads = threads

    @property
    def queued_tokens(self) -> int:
        """The tokens of all waiting sequences."""
        return self._schedule.tokens

    @property
    def queued_sequences(self) -> int:
        """The number of waiting sequences."""
        return self._schedule.sequences

    @property
    def costs(self) -> Costs:
        """The cost of computing a batch."""
        return self._schedule.costs

    @property
    def calls(self) -> int:
        """The number of batches that are computed at the same time."""
        return self._schedule.calls

    @property
    def max_batch_tokens(self) -> int:
        """The most tokens of a batch."""
        return self._schedule.max_tokens

    async def compute(self, sequences: SequenceOf[Sequence], deadline: float | None = None) -> list[Output]:
        """The output of each sequence, in order. If the caller is cancelled, they are no longer computed.

        Raises TimeoutError at the deadline, a time of the event loop; TooLarge, Overloaded, and the errors of
        the backend.
        """
        if not sequences:
            return []
        lengths = [len(s) for s in sequences]
        done = asyncio.get_running_loop().create_future()
        request = _Request(sequences, [_NOTHING] * len(sequences), len(sequences), done, time.monotonic())
        with self._lock:
            if self._is_closed:
                raise Unavailable("the service is shutting down")
            self._refuse_overload(sum(lengths))
            # While a thread is idle, a single text needs no queue.
            if len(sequences) == 1 and not self._schedule.sequences and self._running < self.calls:
                self._start([Waiting(lengths[0], request.arrival, request, 0, is_gone=True)])
            else:
                request.waiting = self._schedule.add(request, lengths, request.arrival)
                self._start_next()
        if deadline is not None:
            self._deadlines.add(request, deadline)
        try:
            return await request.done
        finally:
            self._deadlines.remove(request)
            if request.missing:
                with self._lock:
                    self._schedule.remove(request.waiting)

    def close(self) -> None:
        """Start no more batches."""
        with self._lock:
            self._is_closed = True

    def _refuse_overload(self, tokens: int) -> None:
        most, waiting = self._max_queued_tokens, self._schedule.tokens
        if tokens > most:
            raise TooLarge(
                f"the texts of this request have {tokens:,} tokens in total, but at most {most:,} may wait. "
                "Split the request, or raise serve.max_queued_tokens"
            )
        rate = self._rate.tokens_per_second
        most = int(min(most, rate * self._max_wait)) if waiting else most
        if waiting + tokens > most:
            raise Overloaded(
                f"the queue is full: {waiting:,} tokens are waiting, and this request has {tokens:,} more. "
                "Try again later",
                (waiting + tokens - most) / rate,
            )

    def _start_next(self) -> None:
        """Start a batch in each idle thread. The caller holds the lock."""
        for batch in self._schedule.next_batches(self.calls - self._running):
            self._start(batch)

    def _start(self, batch: list[Waiting]) -> None:
        self.threads.submit(partial(self._compute, batch, time.monotonic()))
        self._running += 1

    def _compute(self, batch: list[Waiting], submitted: float) -> None:
        """Compute a batch, start the next one, and hand over the outputs or the error. Runs in a thread."""
        start = time.monotonic()
        with _Computation() as computation:
            computation.outputs = self._backend(_with_own_groups(batch)).outputs
        end = time.monotonic()
        with self._lock:
            self._running -= 1
            if computation.error is None:
                # Includes the time in which the threads computed batches of other models.
                self._rate.add(sum(item.length for item in batch), (end - submitted) / self.calls)
            if not self._is_closed:
                self._start_next()
        loop = batch[0].request.done.get_loop()
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits for the outputs
            loop.call_soon_threadsafe(self._deliver, batch, computation, start, end - start)

    def _deliver(
        self, batch: list[Waiting], computation: "_Computation", start: float, seconds: float
    ) -> None:
        """Complete the requests whose last sequences were in a batch. Runs in the event loop."""
        for position, item in enumerate(batch):
            request: _Request = item.request
            if request.done.done():
                continue
            if computation.error is not None:
                request.done.set_exception(computation.error)
                continue
            request.outputs[item.number] = computation.outputs[position]
            request.missing -= 1
            if not request.missing:
                request.done.set_result(request.outputs)
        lengths = [item.length for item in batch]
        self.on_batch(
            ComputedBatch(
                sequences=len(batch),
                tokens=sum(lengths),
                padded_tokens=len(batch) * max(lengths),
                seconds=seconds,
                waited=tuple(start - item.request.arrival for item in batch),
            )
        )


class _Computation:
    """The outputs of a batch, or the error that a block raised instead."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.error: BaseException | None = None

    def __enter__(self) -> "_Computation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


def _with_own_groups(batch: SequenceOf[Waiting]) -> list[Sequence]:
    """The sequences of a batch. Those of the same example of the same request have the same `group`."""
    numbers: dict[tuple[int, int], int] = {}
    found = []
    for item in batch:
        sequence: Sequence = item.request.sequences[item.number]
        group = numbers.setdefault((id(item.request), sequence.group), len(numbers))
        found.append(sequence if group == sequence.group else replace(sequence, group=group))
    return found
