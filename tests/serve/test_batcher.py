"""The queue of a model: what it refuses, and what it knows about its own speed."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bertune.predict.backend import BackendOutputs, Poll, Runtime, never_stop
from bertune.serve.batcher import Batcher
from bertune.serve.refusals import Overloaded
from bertune.serve.schedule import Costs, Schedule
from bertune.text.sequences import Sequence


class Gate:
    """A backend whose batches finish when the test lets them."""

    runtime = Runtime("gate", "fp32", True, 1000)

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        assert self.is_open.wait(60)
        return BackendOutputs([np.array([len(s)], np.float32) for s in sequences])


def sequence(length: int) -> Sequence:
    return Sequence(np.zeros(length, np.int32), np.zeros(length, np.uint8), 0)


@contextlib.contextmanager
def gated() -> Iterator[tuple[Gate, Batcher]]:
    """A batcher with one thread, whose gate is opened at the end of the block."""
    gate, thread = Gate(), ThreadPoolExecutor(1)
    batcher = Batcher(gate, Schedule(100, Costs(10.0, 0, True)), 1_000_000, thread)
    try:
        yield gate, batcher
    finally:
        gate.is_open.set()
        batcher.close()
        thread.shutdown()


def test_a_request_that_would_wait_too_long_is_refused_at_once() -> None:
    gate, thread = Gate(), ThreadPoolExecutor(1)
    batcher = Batcher(gate, Schedule(100, Costs(10.0, 0, True)), 1_000_000, thread, max_wait=5.0)

    async def whole() -> list[object]:
        computed = asyncio.create_task(batcher.compute([sequence(80)]))  # alone: as long as it may take
        await asyncio.sleep(0)
        waiting = asyncio.create_task(batcher.compute([sequence(30)]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:  # at 10 tokens per second, 5.1 seconds
            await batcher.compute([sequence(21)])
        assert refused.value.retry_after == 1
        fits = asyncio.create_task(batcher.compute([sequence(20)]))
        await asyncio.sleep(0)
        gate.is_open.set()
        return [float(outputs[0][0]) for outputs in await asyncio.gather(computed, waiting, fits)]

    try:
        assert asyncio.run(whole()) == [80, 30, 20]
        # The batches took much less than the 13 seconds that were expected, so more may wait now.
        gate.is_open.clear()

        async def more() -> list[float]:
            tasks = [asyncio.create_task(batcher.compute([sequence(n)])) for n in (80, 30, 21)]
            await asyncio.sleep(0)
            gate.is_open.set()
            return [float(outputs[0][0]) for outputs in await asyncio.gather(*tasks)]

        assert asyncio.run(more()) == [80, 30, 21]
    finally:
        gate.is_open.set()
        batcher.close()
        thread.shutdown()


def test_several_batches_are_computed_at_the_same_time() -> None:
    gate, threads = Gate(), ThreadPoolExecutor(3)
    batcher = Batcher(gate, Schedule(30, Costs(10.0, 0, True), calls=2), 1_000_000, threads)

    async def whole() -> list[float]:
        tasks = [asyncio.create_task(batcher.compute([sequence(n)])) for n in (30, 29, 28)]
        await asyncio.sleep(0)
        assert batcher.queued_sequences == 1  # the third waits until one of the others is finished
        gate.is_open.set()
        return [float(outputs[0][0]) for outputs in await asyncio.gather(*tasks)]

    try:
        assert asyncio.run(whole()) == [30, 29, 28]
    finally:
        gate.is_open.set()
        batcher.close()
        threads.shutdown()


def test_a_single_request_is_computed_by_all_threads() -> None:
    gate, threads = Gate(), ThreadPoolExecutor(3)
    batcher = Batcher(gate, Schedule(30, Costs(10.0, 0, True), calls=3), 1_000_000, threads)

    async def whole() -> list[float]:
        computed = asyncio.create_task(batcher.compute([sequence(10)] * 6))
        await asyncio.sleep(0)
        assert batcher.queued_sequences == 0  # all three batches of two were started
        gate.is_open.set()
        return [float(output[0]) for output in await computed]

    try:
        assert asyncio.run(whole()) == [10] * 6
    finally:
        gate.is_open.set()
        batcher.close()
        threads.shutdown()


def test_a_request_expires_and_its_sequences_are_not_computed() -> None:
    async def whole(gate: Gate, batcher: Batcher) -> list[object]:
        soon = asyncio.get_running_loop().time() + 0.05
        first = asyncio.create_task(batcher.compute([sequence(80)], soon))
        await asyncio.sleep(0)
        second = asyncio.create_task(batcher.compute([sequence(30)], soon))
        third = asyncio.create_task(batcher.compute([sequence(20)], soon + 600))
        expired = await asyncio.gather(first, second, return_exceptions=True)
        assert batcher.queued_sequences == 1
        gate.is_open.set()
        return [*map(type, expired), float((await third)[0][0])]

    with gated() as (gate, batcher):
        assert asyncio.run(whole(gate, batcher)) == [TimeoutError, TimeoutError, 20]


def test_requests_expire_in_the_order_of_their_deadlines() -> None:
    expired: list[str] = []

    async def expiring(batcher: Batcher, name: str, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await batcher.compute([sequence(10)], asyncio.get_running_loop().time() + seconds)
        expired.append(name)

    async def whole(gate: Gate, batcher: Batcher) -> float:
        never = asyncio.create_task(batcher.compute([sequence(20)]))
        await asyncio.gather(
            *(expiring(batcher, *one) for one in (("late", 0.2), ("soon", 0.1), ("last", 0.3)))
        )
        await expiring(batcher, "again", 0.1)  # when no other request has a deadline
        gate.is_open.set()
        return float((await never)[0][0])

    with gated() as (gate, batcher):
        assert asyncio.run(whole(gate, batcher)) == 20
    assert expired == ["soon", "late", "last", "again"]


def test_nothing_is_kept_of_a_request_whose_deadline_has_not_passed() -> None:
    async def computed(batcher: Batcher) -> "weakref.ref[Any]":
        given = sequence(10)
        await batcher.compute([given], asyncio.get_running_loop().time() + 600)
        return weakref.ref(given.ids)

    with gated() as (gate, batcher):
        gate.is_open.set()
        kept = asyncio.run(computed(batcher))
    gc.collect()
    assert kept() is None


def test_the_error_of_a_batch_reaches_its_request_and_the_next_batch_is_computed() -> None:
    class Failing(Gate):
        def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
            found = super().__call__(sequences, poll)
            if len(sequences[0]) == 80:
                raise ValueError("broken")
            return found

    gate, threads = Failing(), ThreadPoolExecutor(1)
    batcher = Batcher(gate, Schedule(80, Costs(10.0, 0, True)), 1_000_000, threads)

    async def whole() -> list[object]:
        limit = asyncio.get_running_loop().time() + 60
        tasks = [asyncio.create_task(batcher.compute([sequence(n)], limit)) for n in (80, 79)]
        await asyncio.sleep(0)
        assert batcher.queued_sequences == 1
        gate.is_open.set()
        failed, computed = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(computed, list)
        return [str(failed), float(computed[0][0])]

    try:
        assert asyncio.run(whole()) == ["broken", 79]
    finally:
        gate.is_open.set()
        batcher.close()
        threads.shutdown()


def test_the_rate_includes_the_time_in_which_other_models_are_computed() -> None:
    """Otherwise, more would be admitted than can be computed within the time limit."""
    gates, threads = (Gate(), Gate()), ThreadPoolExecutor(1)
    first, second = (Batcher(gate, Schedule(100, Costs(1e6, 0, True)), 10**9, threads) for gate in gates)

    async def whole() -> float:
        computed = [asyncio.create_task(b.compute([sequence(100)])) for b in (first, second)]
        await asyncio.sleep(0.2)
        for gate in gates:
            gate.is_open.set()
        await asyncio.gather(*computed)
        return second._rate.tokens_per_second

    try:
        # 5 seconds at 1e6 tokens per second, and then 0.2 seconds, or almost none, for 100 tokens.
        assert asyncio.run(whole()) < 0.97e6
    finally:
        for gate in gates:
            gate.is_open.set()
        threads.shutdown()
