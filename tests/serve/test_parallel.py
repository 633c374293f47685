"""Batches of a graph at the same time in the service: how many threads each of them has."""

import os
import threading
import weakref
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from running import serving, wait_until

import bertune as bt
from bertune.cores import allowed_cores
from bertune.predict.onnx_backend import OnnxBackend
from bertune.serve import parallel
from bertune.serve.parallel import ComputeThreads, GraphCalls, GraphThreads, concurrent
from bertune.settings import resolve
from bertune.tasks import Output
from bertune.text.sequences import Sequence
from tiny_exports import Exports, rows_of

TEXTS = [Sequence(np.arange(2, 3 + n, dtype=np.int32), np.zeros(1 + n, np.uint8), n) for n in (9, 3, 12)]


@dataclass(frozen=True)
class Recorded(OnnxBackend):
    """A real backend that records the threads of each batch, and calls something during the first one."""

    threads: list[int] = field(default_factory=list)
    during_first: list[Any] = field(default_factory=list)

    def with_threads(self, sequences: SequenceOf[Sequence], threads: int) -> list[Output]:
        self.threads.append(threads)
        if self.during_first:
            self.during_first.pop()()
        return super().with_threads(sequences, threads)


def recorded(exports: Exports, threads: int, **machine: int) -> Recorded:
    settings = {"machine": {"threads": threads, **machine}}
    found = bt.load(exports.export("classification"), settings=settings).backend
    assert isinstance(found, OnnxBackend)
    return Recorded(found.graph, found.export, found.fitted)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No text is long, unless the test changes it."""
    monkeypatch.setattr(parallel, "_LONG", float("inf"))
    yield


@pytest.mark.parametrize(
    ("cores", "others", "expected"),
    [(1, 0, 1), (2, 0, 1), (3, 0, 1), (4, 0, 2), (4, 1, 1), (8, 0, 4), (8, 1, 4), (8, 2, 1), (16, 3, 8)],
)
def test_a_long_text_has_half_of_the_cores_if_few_others_are_busy(
    cores: int, others: int, expected: int, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, other_model = recorded(exports, cores), recorded(exports, cores)
    threads = ComputeThreads(cores)
    calls, other_calls = GraphCalls(backend, threads), GraphCalls(other_model, threads)
    assert calls.calls == cores

    def with_others(number: int) -> None:
        """A long text while `number` batches of another model are computed."""
        if number:
            other_model.during_first.append(lambda: with_others(number - 1))
            other_calls(TEXTS[:1])
        else:
            monkeypatch.setattr(parallel, "_LONG", 0)
            calls(TEXTS[:1])

    with_others(others)
    assert (backend.threads, other_model.threads) == ([expected], [1] * others)
    calls(TEXTS[:1])  # nothing is running any more
    assert backend.threads[-1] == max(1, cores // 2)
    calls(TEXTS)  # a batch is no long text
    assert backend.threads[-1] == 1


def test_the_outputs_are_those_of_the_model(exports: Exports) -> None:
    backend = recorded(exports, 6)
    expected = backend(TEXTS).outputs
    for threads in (1, 3):
        np.testing.assert_allclose(backend.with_threads(TEXTS, threads), expected, atol=1e-6)


def test_a_batch_is_computed_in_micro_batches(exports: Exports) -> None:
    backend = recorded(exports, 2, micro_batch_tokens=13)
    sizes: list[int] = []
    compute = backend._compute

    def counted(sequences: SequenceOf[Sequence], session: Any) -> list[Output]:
        sizes.append(len(sequences))
        return compute(sequences, session)

    object.__setattr__(backend, "_compute", counted)
    calls = GraphCalls(backend, ComputeThreads(2))
    found = calls(TEXTS).outputs
    assert sorted(sizes) == [1, 1, 1]
    np.testing.assert_allclose(found, backend(TEXTS).outputs, atol=1e-6)
    assert calls.runtime.micro_batch_tokens == 13


def test_an_error_does_not_count_as_running(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_LONG", 0)
    backend = recorded(exports, 4)
    calls = GraphCalls(backend, ComputeThreads(4))
    unknown = Sequence(np.array([10**6], np.int32), np.zeros(1, np.uint8), 0)
    for _ in range(3):
        with pytest.raises(bt.BertuneError):
            calls([unknown])
    calls(TEXTS[:1])
    assert backend.threads == [2, 2, 2, 2]


@pytest.mark.parametrize(("threads", "calls", "expected"), [(4, 3, 3), (2, 8, 2), (4, 4, 4)])
def test_graphs_compute_as_many_batches_as_they_may(
    threads: int, calls: int, expected: int, exports: Exports
) -> None:
    backend, found = concurrent(recorded(exports, threads), ComputeThreads(calls))
    assert found == expected
    assert backend.runtime.micro_batch_tokens == 256


def test_models_of_torch_compute_one_batch_at_a_time(exports: Exports) -> None:
    backend = bt.load(exports.run("classification")).backend
    assert concurrent(backend, ComputeThreads(4)) == (backend, 1)


def test_a_served_graph_computes_several_batches_at_the_same_time(exports: Exports) -> None:
    folder = exports.export("classification")
    rows = rows_of("classification")
    expected = [dict(found.probabilities) for found in bt.load(folder).predict(rows)]
    with serving([f"reviews={folder}"], {"machine": {"threads": 3}}) as running, running.client() as client:
        served = running.service.models["reviews"]
        assert served.batcher.calls == min(3, ComputeThreads().calls)
        answers = [client.post("/models/reviews/predict", json={"rows": rows}).json() for _ in range(3)]
    for answer in answers:
        for found, wanted in zip(answer["predictions"], expected, strict=True):
            assert found["probabilities"] == pytest.approx(wanted, abs=1e-6)


def test_everything_that_was_submitted_is_done_before_the_threads_end() -> None:
    threads = GraphThreads(3)
    done: SimpleQueue[int] = SimpleQueue()
    is_open = threading.Event()

    def work(number: int) -> None:
        assert is_open.wait(60)
        done.put(number)

    for number in range(50):
        threads.submit(partial(work, number))
    is_open.set()
    threads.shutdown()
    assert sorted(done.get_nowait() for _ in range(50)) == list(range(50))
    assert not any(thread.is_alive() for thread in threads._threads)


def test_an_idle_thread_keeps_nothing_of_its_last_batch() -> None:
    class Batch:
        def compute(self) -> None:
            pass

    threads, batch = GraphThreads(1), Batch()
    kept = weakref.ref(batch)
    threads.submit(batch.compute)
    del batch
    wait_until(lambda: kept() is None)
    threads.shutdown()


def test_threads_that_cannot_be_started_leave_the_work_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, done = GraphThreads(2), threading.Event()
    is_open = threading.Event()

    def cannot_start() -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threads, "_start_thread", cannot_start)
        with pytest.raises(RuntimeError, match="start new thread"):
            threads.submit(done.set)
    threads.submit(lambda: wait_until(is_open.is_set))
    with monkeypatch.context() as patched:
        patched.setattr(threads, "_start_thread", cannot_start)
        threads.submit(done.set)
    is_open.set()
    assert done.wait(60)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(done.set)


def cores_of(threads: GraphThreads, number: int) -> list[list[int]]:
    """The cores that each of several threads may use while all of them compute."""
    found: SimpleQueue[list[int]] = SimpleQueue()
    all_run = threading.Barrier(number)

    def work() -> None:
        all_run.wait(60)
        found.put(allowed_cores())

    for _ in range(number):
        threads.submit(work)
    threads.shutdown()
    return sorted(found.get_nowait() for _ in range(number))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity (Linux)")
def test_each_thread_stays_on_its_core() -> None:
    cores = allowed_cores()
    assert cores_of(GraphThreads(len(cores), cores), len(cores)) == [[core] for core in cores]
    assert allowed_cores() == cores  # of the other threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity (Linux)")
def test_a_thread_does_not_keep_the_core_of_the_thread_that_started_it() -> None:
    cores = allowed_cores()
    threads = GraphThreads(2, [cores[0], max(cores) + 1000, *cores])
    found: SimpleQueue[list[int]] = SimpleQueue()
    is_found = threading.Event()

    def find() -> None:
        found.put(allowed_cores())
        is_found.set()

    def start_another() -> None:
        threads.submit(find)
        assert is_found.wait(60)

    threads.submit(start_another)
    assert found.get(timeout=60) == cores
    threads.shutdown()


@pytest.mark.parametrize(
    ("cores", "threads", "pin", "expected"),
    [
        ([0], "auto", True, []),
        ([2, 5], 2, True, [2, 5]),
        ([2, 5], 2, False, []),
        ([2, 5], 1, True, []),
        ([2, 5], 3, True, []),
        ([0, 1, 2], 3, True, []),
        ([0, 1, 2, 3], 2, True, []),
    ],
)
def test_which_threads_stay_on_a_core(
    cores: list[int], threads: int | str, pin: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "allowed_cores", lambda: cores)
    monkeypatch.setattr(parallel, "usual_threads", lambda: len(cores))
    found = ComputeThreads.of(resolve({"machine": {"threads": threads}, "serve": {"pin_threads": pin}}))
    assert list(found.several._cores) == expected
    found.shutdown()
