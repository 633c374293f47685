"""Batches of a graph at the same time in the service: how many threads each of them has."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import bertune as bt
from bertune.predict.onnx_backend import OnnxBackend
from bertune.serve import parallel
from bertune.serve.parallel import GraphCalls, concurrent
from bertune.tasks import Output
from bertune.text.sequences import Sequence
from tiny_exports import Exports

TEXTS = [Sequence(np.arange(2, 3 + n, dtype=np.int32), np.zeros(1 + n, np.uint8), n) for n in (9, 3, 12)]


@dataclass(frozen=True)
class Recorded(OnnxBackend):
    """A real backend that records the threads of each batch, and calls something during the first one."""

    threads: list[int] = field(default_factory=list)
    during_first: list[Any] = field(default_factory=list)

    def one_batch(self, sequences: SequenceOf[Sequence], threads: int) -> list[Output]:
        self.threads.append(threads)
        if self.during_first:
            self.during_first.pop()()
        return super().one_batch(sequences, threads)


def recorded(exports: Exports, threads: int) -> Recorded:
    found = bt.load(exports.export("classification"), settings={"machine.threads": threads}).backend
    assert isinstance(found, OnnxBackend)
    return Recorded(found.graph, found.export, found.fitted)


@pytest.mark.parametrize(
    ("cores", "others", "expected"),
    [(1, 0, 1), (2, 0, 1), (3, 0, 1), (4, 0, 2), (4, 1, 1), (8, 0, 4), (8, 1, 4), (8, 2, 1), (16, 3, 8)],
)
def test_a_long_text_has_half_of_the_cores_if_few_others_are_busy(
    cores: int, others: int, expected: int, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = recorded(exports, cores)
    calls = GraphCalls(backend, cores)
    assert calls.calls == cores

    def with_others(number: int) -> None:
        """A batch during which `number` others are computed, the last of them long."""
        if number:
            backend.during_first.append(lambda: with_others(number - 1))
        else:
            monkeypatch.setattr(parallel, "_LONG", 0)
        calls(TEXTS[:1])

    monkeypatch.setattr(parallel, "_LONG", float("inf"))
    with_others(others)
    assert backend.threads == [*[1] * others, expected]
    monkeypatch.setattr(parallel, "_LONG", 0)
    calls(TEXTS[:1])  # nothing is running any more
    assert backend.threads[-1] == max(1, cores // 2)


def test_short_texts_have_one_thread(exports: Exports) -> None:
    backend = recorded(exports, 8)
    GraphCalls(backend, 8)(TEXTS)
    assert backend.threads == [1]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_outputs_are_those_of_the_model(threads: int, exports: Exports) -> None:
    backend = recorded(exports, 6)
    np.testing.assert_allclose(backend.one_batch(TEXTS, threads), backend(TEXTS).outputs, atol=1e-6)


def test_an_error_does_not_count_as_running(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_LONG", 0)
    backend = recorded(exports, 4)
    calls = GraphCalls(backend, 4)
    unknown = Sequence(np.array([10**6], np.int32), np.zeros(1, np.uint8), 0)
    for _ in range(3):
        with pytest.raises(bt.BertuneError):
            calls([unknown])
    calls(TEXTS)
    assert backend.threads == [2, 2, 2, 2]


def test_models_of_torch_compute_one_batch_at_a_time(exports: Exports) -> None:
    backend = bt.load(exports.run("classification")).backend
    assert concurrent(backend) == (backend, 1)


def test_a_graph_computes_a_batch_per_core(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "available_cores", lambda: 3)
    backend, calls = concurrent(recorded(exports, 4))
    assert calls == 3
    assert backend.runtime.micro_batch_tokens == 256
