"""Batches of a graph computed at the same time, and single texts with all threads."""

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertune as bt
from bertune.errors import Interrupted, ModelError, ResourceError
from bertune.export.parity import differences
from bertune.predict import graphs
from bertune.predict.graphs import Graph, GraphMachine
from bertune.predict.onnx_backend import OnnxBackend, divided
from bertune.predict.predictor import plain
from bertune.text.sequences import Sequence
from tiny_exports import Exports, rows_of

KINDS = (
    "classification",
    "token_classification",
    "question_answering",
    "multiple_choice",
    "language_modelling",
)
SEQUENCES = [
    Sequence(np.arange(2, 6 + n % 9, dtype=np.int32), np.zeros(4 + n % 9, np.uint8), n) for n in range(50)
]


def loaded(folder: Path, threads: int) -> bt.Model:
    return bt.load(folder, settings={"machine.threads": threads})


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_predictions(kind: str, exports: Exports) -> None:
    expected, found = (
        [plain(prediction) for prediction in loaded(exports.export(kind), threads).predict(rows_of(kind))]
        for threads in (1, 3)
    )
    assert len(found) == len(rows_of(kind))
    assert max(itertools.chain.from_iterable(map(differences, expected, found)), default=0.0) < 1e-5


@pytest.fixture
def backend(exports: Exports) -> OnnxBackend:
    found = loaded(exports.export("classification"), 3).backend
    assert isinstance(found, OnnxBackend)
    return found


def test_every_sequence_has_its_own_output(backend: OnnxBackend) -> None:
    together = backend(SEQUENCES).outputs
    alone = [backend([sequence]).outputs[0] for sequence in SEQUENCES]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_few_sequences_on_many_cores(count: int, exports: Exports, backend: OnnxBackend) -> None:
    many = loaded(exports.export("classification"), 8).backend
    np.testing.assert_allclose(many(SEQUENCES[:count]).outputs, backend(SEQUENCES[:count]).outputs, atol=1e-6)


@pytest.mark.parametrize(
    ("lengths", "threads", "expected"),
    [
        ([20, 19, 19], 1, [3]),
        ([64, 32, 16, 8], 1, [4]),
        ([28, 27, 26, 25, 24, 23, 22, 21], 2, [4, 4]),
        ([200, 10, 10, 10], 2, [1, 3]),
        ([20] * 30, 2, [12, 12, 6]),
        ([], 2, []),
    ],
)
def test_sequences_are_divided_among_threads(lengths: list[int], threads: int, expected: list[int]) -> None:
    assert [len(positions) for positions in divided(lengths, 256, threads)] == expected


def test_no_sequences_have_no_outputs(backend: OnnxBackend) -> None:
    assert backend([]).outputs == []


def test_a_poll_stops_before_the_remaining_batches(backend: OnnxBackend) -> None:
    polled = []

    def poll() -> None:
        polled.append(1)
        if len(polled) == 2:
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        backend(SEQUENCES, poll)
    assert len(polled) == 2
    assert len(backend(SEQUENCES).outputs) == len(SEQUENCES)


def test_an_error_in_one_of_the_batches_is_raised(backend: OnnxBackend) -> None:
    unknown = Sequence(np.array([10**6], np.int32), np.zeros(1, np.uint8), 0)
    with pytest.raises(ModelError, match="cannot be run"):
        backend([*SEQUENCES, unknown])


@pytest.fixture
def path(exports: Exports, tmp_path: Path) -> Path:
    copy = tmp_path / "model.onnx"
    shutil.copyfile(exports.export("classification") / "onnx" / "model.onnx", copy)
    return copy


def threads_of(session: Any) -> int:
    return int(session.get_session_options().intra_op_num_threads)


def test_only_much_work_is_split_among_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph(path, GraphMachine(threads=2))
    assert graph.calls == 2
    assert threads_of(graph.session_for(10)) == 1
    monkeypatch.setattr(graphs, "_MUCH_WORK", 11 * path.stat().st_size)
    assert threads_of(graph.session_for(10)) == 1
    assert threads_of(graph.session_for(11)) == 2
    assert graph.session_for(11) is graph.session_for(12)
    assert threads_of(Graph(path, GraphMachine(threads=1)).session_for(12)) == 1


def test_a_session_with_another_number_of_threads_is_opened_once(path: Path) -> None:
    graph = Graph(path, GraphMachine(threads=4))
    assert [threads_of(graph.session_with(n)) for n in (1, 2, 4)] == [1, 2, 4]
    assert graph.session_with(2) is graph.session_with(2)
    assert graph.session_with(1) is graph.session


@pytest.mark.parametrize("how", ["written again", "removed"])
def test_a_file_that_was_replaced_is_not_opened_again(
    how: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_MUCH_WORK", 0)
    graph = Graph(path, GraphMachine(threads=2))
    content = path.read_bytes()
    path.unlink()
    if how == "written again":
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    assert graph.session_for(10) is graph.session


def test_without_memory_for_another_session_one_thread_computes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph(path, GraphMachine(threads=2))

    def refuse(*_: object) -> None:
        raise ResourceError("out of memory")

    monkeypatch.setattr(graphs, "_MUCH_WORK", 0)
    monkeypatch.setattr(graphs, "open_session", refuse)
    assert graph.session_for(10) is graph.session
