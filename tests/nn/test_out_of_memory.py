"""After an out-of-memory error, work is repeated in smaller micro-batches, or ends with a clear message."""

import contextlib
import logging
import re
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
import transformers
from memory_errors import ERRORS
from safetensors.torch import load_file

import bertune
from bertune.config import MachineConfig
from bertune.errors import ResourceError
from bertune.nn.device import make_machine
from bertune.nn.model import StandardModel
from bertune.run import Run, open_run
from bertune.training.events import Stepped, Warned
from small_texts import PLAIN, labelled_texts, write_csv, write_vocabulary
from trainings import (
    Command,
    as_arguments,
    assert_nothing_half_written,
    assert_same_work,
    stopped_after,
    train,
    without_times,
)

Room = Callable[..., contextlib.AbstractContextManager[None]]
pytestmark = pytest.mark.slow  # processes with little memory, for half a minute
BACKEND = "bertune.predict.torch_backend"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Limits the tokens that fit into memory, from the n-th micro-batch of training or prediction."""
    original = StandardModel.forward

    @contextlib.contextmanager
    def make(tokens: int, kind: str = "of a GPU", start: int = 1, is_training: bool = True) -> Any:
        num_done = 0

        def forward(model: Any, batch: Any) -> Any:
            nonlocal num_done
            if model.training == is_training:
                num_done += 1
                padded = len(batch.lengths_S) * int(batch.lengths_S.max())
                if num_done >= start and padded > tokens:
                    raise ERRORS[kind]()
            return original(model, batch)

        with monkeypatch.context() as patch:
            patch.setattr(StandardModel, "forward", forward)
            yield

    return make


@pytest.fixture(scope="module")
def changes(tiny_weights: Path) -> dict[str, Any]:
    """Fourteen steps with dropout, each with one micro-batch, or three with at most half the tokens."""
    return {
        "model.name": str(tiny_weights), "machine.precision": "fp32", "machine.device": "cpu",
        "machine.micro_batch_tokens": 256, "model.dropout": 0.3, "train.best_metric": "loss",
        "train.epochs": 2, "train.batch_size": 8, "train.lr": 1e-3, "train.evaluate_every": 3,
        "train.checkpoint_every": 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def plenty(changes: Any, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with enough memory; tests only read it."""
    return train(reviews_csv, tmp_path_factory.mktemp("plenty") / "run", changes)[0]


@pytest.fixture(scope="module")
def small(changes: Any, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with micro-batches of 64 tokens from the first step; tests only read it."""
    fewer = changes | {"machine.micro_batch_tokens": 64}
    run, events = train(reviews_csv, tmp_path_factory.mktemp("small") / "run", fewer)
    assert remarks(events) == []
    return run


def remarks(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Warned) and "memory" in event.text]


def budgets(events: list[Any]) -> list[int]:
    return [event.step.tokens for event in events if isinstance(event, Stepped)]


@pytest.mark.parametrize("kind", ERRORS)
def test_running_out_of_memory_equals_starting_with_smaller_micro_batches(
    kind: str, changes: Any, small: Run, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    with room(80, kind):
        found, events = train(reviews_csv, tmp_path / "short", changes)
    assert remarks(events) == [
        "out of memory: continuing with micro-batches of at most 64 tokens (optimizer steps are unchanged). "
        "Set machine.micro_batch_tokens=64 to start that way"
    ]
    assert budgets(events) == [64] * 14
    assert found.manifest["machine"]["tokens"] == 64
    validated = [[line.get("validation", {}).get("loss") for line in run.metrics()] for run in (found, small)]
    assert validated[0] == pytest.approx(validated[1], abs=1e-5)
    assert without_validation(found) == without_validation(small)
    weights = [(run.model_path / "model.safetensors").read_bytes() for run in (found, small)]
    assert weights[0] == weights[1]


def without_validation(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "validation"} for line in without_times(run)]


def test_a_step_that_failed_halfway_is_repeated_completely(
    changes: Any, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    """The first micro-batch had already accumulated a gradient and drawn its dropout masks."""
    small = changes | {"machine.micro_batch_tokens": 64, "train.batch_size": 16}
    numbers: list[int] = []
    original = StandardModel.forward
    with pytest.MonkeyPatch.context() as patch:

        def forward(model: Any, batch: Any) -> Any:
            if model.training:
                numbers.append(len(batch.lengths_S))
            return original(model, batch)

        patch.setattr(StandardModel, "forward", forward)
        stopped_after(reviews_csv, tmp_path / "expected", small, 2)
    # The second micro-batch of the third step is the first that does not fit.
    with room(40, start=len(numbers) + 2):
        found, events = train(reviews_csv, tmp_path / "found", small)
    assert budgets(events) == [64] * 2 + [32] * 6
    (line,) = remarks(events)
    assert "32 tokens" in line
    expected, _ = train(
        reviews_csv, tmp_path / "expected", small | {"machine.micro_batch_tokens": 32}, resume=True
    )
    assert without_validation(found) == without_validation(expected)
    assert load_equal(found, expected)


def load_equal(found: Run, expected: Run) -> bool:
    tensors = [load_file(run.model_path / "model.safetensors") for run in (found, expected)]
    return all(torch.equal(tensors[0][name], tensor) for name, tensor in tensors[1].items())


def test_without_dropout_running_out_of_memory_does_not_change_results(
    changes: Any, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    calm = changes | {"model.dropout": 0}
    plenty, _ = train(reviews_csv, tmp_path / "plenty", calm)
    with room(40, start=4):
        short, events = train(reviews_csv, tmp_path / "short", calm)
    assert budgets(events)[0] == 256 and budgets(events)[-1] == 32
    losses = [[line["loss"] for line in run.metrics()] for run in (short, plenty)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert short.scores == pytest.approx(plenty.scores, abs=1e-4)


def test_a_resumed_run_starts_with_the_reduced_size(
    changes: Any, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    auto = changes | {"machine.micro_batch_tokens": "auto"}
    with room(80):
        whole, _ = train(reviews_csv, tmp_path / "whole", auto)
        stopped_after(reviews_csv, tmp_path / "run", auto, 5)
        assert open_run(tmp_path / "run").manifest["machine"]["tokens"] == 64
        run, events = train(reviews_csv, tmp_path / "run", auto, resume=True)
    assert budgets(events) == [64] * 9 and remarks(events) == []
    assert without_validation(run) == without_validation(whole)
    assert load_equal(run, whole)


def test_running_out_of_memory_in_evaluation_does_not_change_scores(
    changes: Any,
    plenty: Run,
    reviews_csv: Path,
    tmp_path: Path,
    room: Room,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with room(40, "of a CPU", is_training=False), caplog.at_level(logging.WARNING):
        short, events = train(reviews_csv, tmp_path / "short", changes)
    assert set(budgets(events)) == {256}, "training itself had enough"
    said = {record.getMessage() for record in caplog.records if record.name == BACKEND}
    assert said == {"out of memory: predicted in micro-batches of at most 32 tokens"}
    assert without_validation(short) == without_validation(plenty)
    assert load_equal(short, plenty)
    assert short.scores == pytest.approx(plenty.scores, abs=1e-5)
    rows = [[(row["text"], row["label"]) for row in r.predictions("validation")] for r in (short, plenty)]
    assert rows[0] == rows[1]


def test_running_out_of_memory_in_prediction_keeps_the_order_and_warns_once(
    plenty: Run, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [text for text, _ in labelled_texts(99, seed=3)]
    model = bertune.load(plenty, settings={"machine.micro_batch_tokens": 256})
    expected = model.predict(texts)
    with room(40, is_training=False), caplog.at_level(logging.WARNING):
        found = model.predict(texts)
    assert [p.label for p in found] == [p.label for p in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    said = [record.getMessage() for record in caplog.records if record.name == BACKEND]
    assert said == ["out of memory: predicted in micro-batches of at most 32 tokens"]
    with room(3, is_training=False), pytest.raises(ResourceError, match="with one text of"):
        model.predict(texts)


def test_a_text_that_does_not_fit_leaves_no_run_if_nothing_was_saved(
    changes: Any, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    with room(3), pytest.raises(ResourceError, match=r"out of memory .* one text of \d+ tokens") as caught:
        train(reviews_csv, tmp_path / "run", changes)
    assert "model.max_length" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_does_not_fit_leaves_a_run_that_can_be_resumed(
    changes: Any, plenty: Run, reviews_csv: Path, tmp_path: Path, room: Room
) -> None:
    with room(3, start=6), pytest.raises(ResourceError):
        train(reviews_csv, tmp_path / "run", changes)
    assert_nothing_half_written(tmp_path / "run")
    assert_same_work(train(reviews_csv, tmp_path / "run", changes, resume=True)[0], plenty)


def test_other_errors_of_the_model_are_not_handled(
    changes: Any, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(model: Any, batch: Any) -> Any:
        raise RuntimeError("expected scalar type Float but found Half")

    monkeypatch.setattr(StandardModel, "forward", forward)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        train(reviews_csv, tmp_path / "run", changes)


def test_running_out_of_memory_in_the_optimizer_is_an_error(
    changes: Any, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW allocates its moments in the first step, so fewer tokens at a time do not help."""

    def step(*_: Any, **__: Any) -> None:
        raise ERRORS["of a GPU"]()

    monkeypatch.setattr("bertune.training.optim.adamw", step)
    with pytest.raises(ResourceError, match=r"^out of memory \(CUDA out of memory.*smaller model"):
        train(reviews_csv, tmp_path / "run", changes)
    assert list(tmp_path.iterdir()) == []


def test_auto_uses_fewer_tokens_if_little_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, tokens in ((64e9, 4096), (5e9, 4096), (4e9, 2048), (1.1e9, 1024), (0.6e9, 512), (1e6, 512)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=int(free)))
        for given, expected in (("auto", tokens), (3000, 3000)):
            config = MachineConfig(device="cpu", micro_batch_tokens=given)
            assert make_machine(config).micro_batch_tokens == expected


@dataclass(frozen=True)
class MoreMemory:
    """When called, limits the process to `size` bytes more than it has now."""

    size: int

    def __call__(self) -> None:
        import transformers.models.bert.modeling_bert

        torch.set_num_threads(1)
        # Starts the threads, whose memory is needed only once.
        torch.nn.Linear(64, 64)(torch.zeros(64, 64)).sum().backward()
        assert transformers.models.bert.modeling_bert
        now = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + self.size, now + self.size))


@pytest.fixture(scope="module")
def long_texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Texts of 250 words, and a model that needs half a gigabyte for a backward pass over sixteen of them."""
    import random

    folder = tmp_path_factory.mktemp("long")
    draw = random.Random(3)
    rows = [
        (" ".join([("great", "dull")[i % 2], *draw.choices(PLAIN, k=249)]), ("good", "bad")[i % 2])
        for i in range(20)
    ]
    model = folder / "model"
    model.mkdir()
    write_vocabulary(model)
    transformers.BertConfig(
        vocab_size=130, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8192,
        max_position_embeddings=256,
    ).save_pretrained(model)  # fmt: skip
    settings = {
        "model.name": str(model), "machine.precision": "fp32", "machine.device": "cpu",
        "machine.micro_batch_tokens": 4096,
        "machine.threads": 1, "train.epochs": 1, "train.batch_size": 16, "train.lr": 1e-4,
        "train.baselines": False, "train.explain": False,  # which need more memory
    }  # fmt: skip
    return write_csv(folder / "long.csv", ("text", "label"), rows), settings


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the size of a process is limited on Linux only"
)
@pytest.mark.parametrize(("megabytes", "code"), [(600, 0), (60, 4)])
def test_a_process_with_limited_memory_reduces_micro_batches_or_reports_an_error(
    megabytes: int, code: int, long_texts: Any, tmp_path: Path
) -> None:
    file, settings = long_texts
    out = tmp_path / "run"
    words = ("train", file, *as_arguments(settings), "--out", out)
    ended = Command(tmp_path / "output", *words, before=MoreMemory(megabytes * 2**20)).end()
    assert ended.code == code, ended
    assert "Traceback" not in ended.stderr
    if code == 0:
        said = re.findall(r"at most ([\d,]+) tokens", " ".join(ended.stderr.split()))
        tokens = open_run(out).manifest["machine"]["tokens"]
        assert said[-1:] == ([f"{tokens:,}"] if tokens < 4096 else [])
        assert open_run(out).manifest["status"] == "complete"
    else:
        assert "out of memory" in ended.stderr and "model.max_length" in ended.stderr
        assert not out.exists()
