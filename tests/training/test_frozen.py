"""Outputs of frozen layers are computed once, without changing the results."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from crashes import LargestFile
from safetensors.torch import load_file

import bertune.training.fit
import bertune.training.frozen
from bertune.errors import Interrupted
from bertune.nn.batch import Batch, collate
from bertune.nn.blocks import freeze
from bertune.nn.device import Machine
from bertune.nn.model import StandardModel
from bertune.nn.packed import PackedEncoder
from bertune.run import Run, open_run
from bertune.source import resolve_source
from bertune.text.sequences import Sequence
from bertune.training.events import Noted, Stepped, Warned
from bertune.training.fit import train_source
from bertune.training.frozen import compute_once
from bertune.training.preparing import EncodedSplit
from small_texts import labelled_texts, write_csv, write_vocabulary
from trainings import (
    Command,
    as_arguments,
    assert_nothing_half_written,
    assert_same_work,
    stopped_after,
    train,
)

_SIZES: dict[str, Any] = {
    "vocab_size": 130, "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 64, "initializer_range": 0.15,
}  # fmt: skip
CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertConfig(**_SIZES),
    "roberta": lambda: transformers.RobertaConfig(**_SIZES, type_vocab_size=1),
    "electra": lambda: transformers.ElectraConfig(**_SIZES, embedding_size=36),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=130, dim=36, n_layers=2, n_heads=4, hidden_dim=37, max_position_embeddings=64
    ),
    "mpnet": lambda: transformers.MPNetConfig(**_SIZES),
}
Keep = Callable[[str], None]


@pytest.fixture
def changes(settings: Any) -> dict[str, Any]:
    """Dropout is on; evaluations and checkpoints fall on different steps of fourteen."""
    often = {"train.evaluate_every": 3, "train.checkpoint_every": 2}
    return settings(**{"model.dropout": 0.3, "train.best_metric": "loss", **often})  # type: ignore[no-any-return]


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Says where the trainings that follow keep the frozen outputs; "never" is the slow twin."""
    original = compute_once

    def choose(where: str) -> None:
        shares = {"memory": (0.25, 0.5), "disk": (0, 0.5), "nothing": (0, 0), "never": (0, 0)}[where]
        monkeypatch.setattr(bertune.training.frozen, "_SHARE_OF_MEMORY", shares[0])
        monkeypatch.setattr(bertune.training.frozen, "_SHARE_OF_DISK", shares[1])
        found = original if where != "never" else lambda *_: None
        monkeypatch.setattr(bertune.training.fit, "compute_once", found)

    return choose


def assert_close_runs(found: Run, expected: Run) -> None:
    """Losses, norms, scores and weights agree to 1e-5."""
    for key in ("loss", "grad_norm"):
        values = [[line[key] for line in run.metrics()] for run in (found, expected)]
        assert values[0] == pytest.approx(values[1], abs=1e-5)
    scores = [run.manifest["scores"]["validation"] for run in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    validations = [
        [m["validation"]["loss"] for m in r.metrics() if "validation" in m] for r in (found, expected)
    ]
    assert validations[0] == pytest.approx(validations[1], abs=1e-5)
    weights = [
        {k: t for path in sorted(run.model_path.glob("*.safetensors")) for k, t in load_file(path).items()}
        for run in (found, expected)
    ]
    for name, tensor in weights[1].items():
        if not name.endswith(("key.bias", "k_lin.bias")):  # no influence: Adam makes steps of its rounding
            torch.testing.assert_close(weights[0][name], tensor, atol=1e-5, rtol=0)


def noted(events: list[Any]) -> list[str]:
    """The messages about where the frozen outputs are stored."""
    return [
        e.text for e in events if isinstance(e, Noted | Warned) and "outputs of the frozen layers" in e.text
    ]


def make_family(folder: Path, family: str) -> Path:
    folder.mkdir()
    write_vocabulary(folder)
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    CONFIGS[family]().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_a_training_is_the_one_that_computes_it_at_every_step(
    what: str | int, where: str, changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    keep(where)
    found, events = train(reviews_csv, tmp_path / "once", changes | {"train.freeze": what})
    (line,) = noted(events)
    assert line.endswith({"memory": "stored in memory", "disk": "stored on disk"}[where])
    keep("never")
    expected, events = train(reviews_csv, tmp_path / "always", changes | {"train.freeze": what})
    assert noted(events) == []
    assert_close_runs(found, expected)
    assert not (found.path / "frozen").exists()


@pytest.mark.parametrize("family", ["roberta", "distilbert", "electra"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_it_is_so_in_every_packed_family(
    family: str, what: str | int, changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    both = changes | {"model.name": str(make_family(tmp_path / "model", family)), "train.freeze": what}
    found, events = train(reviews_csv, tmp_path / "once", both)
    assert len(noted(events)) == 1
    keep("never")
    assert_close_runs(found, train(reviews_csv, tmp_path / "always", both)[0])


def test_it_is_so_under_a_head_of_ones_own(
    changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    own = changes | {"model.head": "first_token", "train.freeze": "encoder"}
    found, _ = train(reviews_csv, tmp_path / "once", own)
    keep("never")
    assert_close_runs(found, train(reviews_csv, tmp_path / "always", own)[0])


@pytest.mark.parametrize("change", [{"train.freeze": "embeddings"}, {"train.freeze": 1, "train.epochs": 0.5}])
def test_nothing_is_computed_ahead_where_that_gains_nothing(
    change: dict[str, Any], changes: Any, reviews_csv: Path, tmp_path: Path
) -> None:
    _, events = train(reviews_csv, tmp_path / "run", changes | change)
    assert noted(events) == []


def test_a_padded_family_computes_nothing_ahead(changes: Any, reviews_csv: Path, tmp_path: Path) -> None:
    padded = changes | {
        "model.name": str(make_family(tmp_path / "model", "mpnet")),
        "train.freeze": "encoder",
    }
    _, events = train(reviews_csv, tmp_path / "run", padded)
    assert noted(events) == []


def test_where_neither_memory_nor_disk_can_spare_it_one_line_says_so_and_training_goes_on(
    changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    frozen = changes | {"train.freeze": 1}
    keep("nothing")
    found, events = train(reviews_csv, tmp_path / "once", frozen)
    assert not any(isinstance(event, Noted) for event in events)
    (line,) = noted(events)
    assert "computed again at every step" in line and " MB" in line
    keep("never")
    assert_same_work(found, train(reviews_csv, tmp_path / "always", frozen)[0])


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_a_run_that_was_stopped_ends_as_if_never_stopped(
    what: str | int, where: str, changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    frozen = changes | {"train.freeze": what}
    keep(where)
    whole, _ = train(reviews_csv, tmp_path / "whole", frozen)
    for steps in (1, 6, 11):
        stopped_after(reviews_csv, tmp_path / "run", frozen, steps)
    run, _ = train(reviews_csv, tmp_path / "run", frozen, resume=True)
    assert_same_work(run, whole)
    assert not (run.path / "frozen").exists()


def test_a_run_that_is_resumed_finds_the_file_of_before(
    changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    frozen = changes | {"train.freeze": 1}
    keep("disk")
    stopped_after(reviews_csv, tmp_path / "run", frozen, 4)
    (file,) = (tmp_path / "run" / "frozen").glob("*.npy")
    before = file.stat()
    for event in train_source(resolve_source(str(reviews_csv), frozen), tmp_path / "run", resume=True):
        if isinstance(event, Stepped) and event.step.number == 14:
            assert [file] == list((tmp_path / "run" / "frozen").glob("*.npy"))
            assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert open_run(tmp_path / "run").manifest["status"] == "complete"
    assert not file.parent.exists()


def test_a_run_resumed_in_another_precision_does_not_take_the_file_of_before(
    changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    keep("disk")
    stopped_after(reviews_csv, tmp_path / "run", changes | {"train.freeze": 1}, 4)
    (file,) = (tmp_path / "run" / "frozen").glob("*.npy")
    other = changes | {"train.freeze": 1, "machine.precision": "bf16"}
    stopped_after(reviews_csv, tmp_path / "run", other, 5)
    files = set((tmp_path / "run" / "frozen").glob("*.npy"))
    assert file in files and len(files) == 2
    contents = [np.load(path) for path in sorted(files, key=lambda path: path != file)]
    assert contents[0].shape == contents[1].shape
    assert np.abs(contents[0] - contents[1]).max() > 1e-4


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_memory_that_runs_out_meanwhile_is_met_with_smaller_batches(
    where: str, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(where)
    model, texts = classifier(), some_texts()
    parts = {"train": EncodedSplit("", [], texts)}
    plenty = compute_once(model, parts, CPU, tmp_path / "plenty", lambda: None)
    original = PackedEncoder.frozen

    def frozen(packed: PackedEncoder, batch: Batch) -> torch.Tensor | None:
        if len(batch.lengths_S) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(packed, batch)

    monkeypatch.setattr(PackedEncoder, "frozen", frozen)
    short = compute_once(model, parts, CPU, tmp_path / "short", lambda: None)
    assert plenty is not None and short is not None
    for one, other in zip(short.splits["train"].sequences, plenty.splits["train"].sequences, strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_signal_meanwhile_stops_it_and_the_run_goes_on_as_if_never_stopped(
    where: str, changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = changes | {"train.freeze": 1, "machine.micro_batch_tokens": 64}
    keep(where)
    whole, _ = train(reviews_csv, tmp_path / "whole", frozen)
    original = PackedEncoder.frozen

    def interrupting(packed: PackedEncoder, batch: Batch) -> torch.Tensor | None:
        signal.raise_signal(signal.SIGINT)
        return original(packed, batch)

    for steps in (0, 5):
        if steps:
            stopped_after(reviews_csv, tmp_path / "run", frozen, steps)
            shutil.rmtree(tmp_path / "run" / "frozen", ignore_errors=True)
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match="outputs of the frozen layers"):
            patch.setattr(PackedEncoder, "frozen", interrupting)
            train(reviews_csv, tmp_path / "run", frozen, resume=bool(steps))
        assert open_run(tmp_path / "run").manifest["status"] == "interrupted"
        assert_nothing_half_written(tmp_path / "run")
    run, _ = train(reviews_csv, tmp_path / "run", frozen, resume=True)
    assert_same_work(run, whole)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the disk cannot be asked beforehand")
def test_the_room_on_the_disk_is_taken_before_anything_is_written_there(
    keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a mapped file that the disk has no room for kills the process when it is written."""
    keep("disk")
    texts = some_texts(200)
    original, taken = PackedEncoder.frozen, []

    def frozen(packed: PackedEncoder, batch: Batch) -> torch.Tensor | None:
        (staging,) = (tmp_path / "f").iterdir()
        taken.append((512 * staging.stat().st_blocks, staging.stat().st_size))
        return original(packed, batch)

    monkeypatch.setattr(PackedEncoder, "frozen", frozen)
    compute_once(classifier(), {"train": EncodedSplit("", [], texts)}, CPU, tmp_path / "f", lambda: None)
    assert taken[0][1] > 36 * 4 * sum(map(len, texts))
    assert taken[0][0] >= taken[0][1]


def classifier(family: str = "bert", what: str | int = 1) -> Any:
    """A classifier with a frozen part, the same at every call."""
    torch.manual_seed(4)
    model = StandardModel(transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]()))
    freeze(model, what)
    return model


def some_texts(num: int = 13, seed: int = 4) -> list[Sequence]:
    draw = np.random.default_rng(seed)
    ids = [draw.integers(5, 99, size=draw.integers(1, 30)).astype(np.int32) for _ in range(num)]
    return [Sequence(i, np.zeros(len(i), np.uint8), group, group % 2) for group, i in enumerate(ids)]


CPU = Machine(torch.device("cpu"), "cpu", "fp32", 64, 1)


class TestTheFile:
    """What names it, and what is in it."""

    @pytest.fixture(autouse=True)
    def on_disk(self, keep: Keep) -> None:
        keep("disk")

    @staticmethod
    def rows(folder: Path, model: Any, texts: list[Sequence], machine: Machine = CPU) -> Any:
        parts = {"train": EncodedSplit("", [], texts[:9]), "validation": EncodedSplit("", [], texts[9:])}
        found = compute_once(model, parts, machine, folder, lambda: None)
        assert found is not None and found.kept_in == "disk"
        return [s.hidden for part in found.splits.values() for s in part.sequences]

    @pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
    @pytest.mark.parametrize("what", ["encoder", 1, 2])
    def test_each_text_has_what_it_has_alone(self, what: str | int, family: str, tmp_path: Path) -> None:
        model, texts = classifier(family, what), some_texts()
        for text, hidden in zip(texts, self.rows(tmp_path / "f", model, texts), strict=True):
            expected = model.packed.frozen(collate([text])).numpy()
            assert hidden.shape == expected.shape == (1 if what == "encoder" or what == 2 else len(text), 36)
            np.testing.assert_allclose(hidden, expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(
        "change", ["nothing", "a weight", "a text", "a type", "precision", "tokens", "cut"]
    )
    def test_it_is_another_where_anything_differs_that_decides_it(self, change: str, tmp_path: Path) -> None:
        model, texts, machine = classifier(), some_texts(), CPU
        first = self.rows(tmp_path / "f", model, texts)
        if change == "a weight":
            with torch.no_grad():
                model.encoder.encoder.layer[0].output.dense.weight[3, 5] += 0.5
        elif change == "a text":
            ids = texts[11].ids
            texts[11] = replace(texts[11], ids=np.append(ids[:-1], np.int32(98 - ids[-1] % 7)))
        elif change == "a type":
            texts[2] = replace(texts[2], types=np.ones_like(texts[2].types))
        elif change == "precision":
            machine = replace(CPU, precision="bf16")
        elif change == "tokens":
            machine = replace(CPU, micro_batch_tokens=32)
        elif change == "cut":  # the same tokens end to end, in other texts
            a, b = texts[0], texts[1]
            ids, types = np.concatenate([a.ids, b.ids]), np.zeros(len(a) + len(b), np.uint8)
            texts[:2] = [replace(a, ids=ids[:1], types=types[:1]), replace(b, ids=ids[1:], types=types[1:])]
        second = self.rows(tmp_path / "f", model, texts, machine)
        assert len(list((tmp_path / "f").glob("*.npy"))) == (1 if change == "nothing" else 2)
        if change != "tokens":  # which changes rounding, at most
            are_equal = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
            assert are_equal == (change == "nothing")


@dataclass(frozen=True)
class OnASmallDisk:
    """Install with `()`: memory has no room for frozen outputs, and the disk has few bytes."""

    size: int

    def __call__(self) -> None:
        bertune.training.frozen._SHARE_OF_MEMORY = 0
        LargestFile(self.size)()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="file sizes are limited on POSIX only")
def test_a_full_disk_ends_it_with_4_and_leaves_a_run_that_goes_on_or_none(
    changes: Any, tmp_path: Path
) -> None:
    # Their frozen outputs are larger than any other file of the run.
    many_csv = write_csv(tmp_path / "many.csv", ("text", "label"), labelled_texts(700))
    frozen = changes | {"train.freeze": 1, "train.epochs": 1, "train.batch_size": 64}
    out = tmp_path / "run"
    words = ("train", many_csv, *as_arguments(frozen), "--out", out)
    ended = Command(tmp_path / "output", *words, before=OnASmallDisk(400_000)).end()
    assert ended.code == 4, ended
    assert "no space left on the disk" in ended.stderr and "Traceback" not in ended.stderr
    assert not out.exists()

    whole, _ = train(many_csv, tmp_path / "whole", frozen)
    stopped_after(many_csv, out, frozen, 4)
    ended = Command(tmp_path / "output", *words, "--resume", before=OnASmallDisk(400_000)).end()
    assert ended.code == 4, ended
    assert_nothing_half_written(out)
    assert list((out / "frozen").glob("*")) == []
    assert_same_work(train(many_csv, out, frozen, resume=True)[0], whole)
