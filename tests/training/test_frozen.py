"""Outputs of frozen layers are computed once, without changing the results."""

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crashes import LargestFile
from frozen_models import Keep, make_family
from safetensors.torch import load_file

import bertune.training.fit
import bertune.training.frozen
from bertune.errors import Interrupted
from bertune.nn.batch import Batch
from bertune.nn.packed import PackedEncoder
from bertune.run import Run, open_run
from bertune.source import resolve_source
from bertune.training.events import Noted, Stepped, Warned
from bertune.training.fit import train_source
from small_texts import labelled_texts, write_csv
from trainings import (
    Command,
    as_arguments,
    assert_nothing_half_written,
    assert_same_work,
    stopped_after,
    train,
)


@pytest.fixture
def changes(settings: Any) -> dict[str, Any]:
    """Dropout is on; evaluations and checkpoints fall on different steps of fourteen."""
    often = {"train.evaluate_every": 3, "train.checkpoint_every": 2}
    return settings(**{"model.dropout": 0.3, "train.best_metric": "loss", **often})  # type: ignore[no-any-return]


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
        if not name.endswith(("key.bias", "k_lin.bias")):  # no influence; Adam amplifies rounding errors
            torch.testing.assert_close(weights[0][name], tensor, atol=1e-5, rtol=0)


def noted(events: list[Any]) -> list[str]:
    """The messages about where the frozen outputs are stored."""
    return [
        e.text for e in events if isinstance(e, Noted | Warned) and "outputs of the frozen layers" in e.text
    ]


@pytest.fixture(scope="module")
def trainings() -> dict[tuple[Any, str], Any]:
    """The trainings that `trained` has made."""
    return {}


@pytest.fixture
def trained(
    trainings: dict[tuple[Any, str], Any],
    changes: Any,
    reviews_csv: Path,
    keep: Keep,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str | int, str], tuple[Run, list[Any]]]:
    """`trained(1, "disk")` has train.freeze=1 and the frozen outputs on disk. Trained once; read only."""

    def go(what: str | int, where: str) -> tuple[Run, list[Any]]:
        if (what, where) not in trainings:
            keep(where)
            out = tmp_path_factory.mktemp("frozen") / "run"
            trainings[what, where] = train(reviews_csv, out, changes | {"train.freeze": what})
        found: tuple[Run, list[Any]] = trainings[what, where]
        return found

    return go


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_computing_once_equals_computing_at_every_step(what: str | int, where: str, trained: Any) -> None:
    found, events = trained(what, where)
    (line,) = noted(events)
    assert line.endswith({"memory": "stored in memory", "disk": "stored on disk"}[where])
    expected, events = trained(what, "never")
    assert noted(events) == []
    assert_close_runs(found, expected)
    assert not (found.path / "frozen").exists()


@pytest.mark.parametrize("family", ["roberta", "distilbert", "electra"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_computing_once_works_for_every_packed_family(
    family: str, what: str | int, changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    both = changes | {"model.name": str(make_family(tmp_path / "model", family)), "train.freeze": what}
    found, events = train(reviews_csv, tmp_path / "once", both)
    assert len(noted(events)) == 1
    keep("never")
    assert_close_runs(found, train(reviews_csv, tmp_path / "always", both)[0])


def test_computing_once_works_with_a_custom_head(
    changes: Any, reviews_csv: Path, keep: Keep, tmp_path: Path
) -> None:
    own = changes | {"model.head": "first_token", "train.freeze": "encoder"}
    found, _ = train(reviews_csv, tmp_path / "once", own)
    keep("never")
    assert_close_runs(found, train(reviews_csv, tmp_path / "always", own)[0])


@pytest.mark.parametrize("change", [{"train.freeze": "embeddings"}, {"train.freeze": 1, "train.epochs": 0.5}])
def test_nothing_is_precomputed_if_that_saves_no_time(
    change: dict[str, Any], changes: Any, reviews_csv: Path, tmp_path: Path
) -> None:
    _, events = train(reviews_csv, tmp_path / "run", changes | change)
    assert noted(events) == []


def test_nothing_is_precomputed_for_padded_families(changes: Any, reviews_csv: Path, tmp_path: Path) -> None:
    padded = changes | {
        "model.name": str(make_family(tmp_path / "model", "mpnet")),
        "train.freeze": "encoder",
    }
    _, events = train(reviews_csv, tmp_path / "run", padded)
    assert noted(events) == []


def test_without_space_in_memory_or_on_disk_training_continues_with_a_warning(
    changes: Any, reviews_csv: Path, keep: Keep, trained: Any, tmp_path: Path
) -> None:
    keep("nothing")
    found, events = train(reviews_csv, tmp_path / "once", changes | {"train.freeze": 1})
    assert not any(isinstance(event, Noted) for event in events)
    (line,) = noted(events)
    assert "computed again at every step" in line and " MB" in line
    assert_same_work(found, trained(1, "never")[0])


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("what", ["encoder", 1])
def test_a_stopped_run_with_frozen_layers_is_identical_when_resumed(
    what: str | int, where: str, changes: Any, reviews_csv: Path, keep: Keep, trained: Any, tmp_path: Path
) -> None:
    frozen = changes | {"train.freeze": what}
    whole, _ = trained(what, where)
    keep(where)
    for steps in (1, 6, 11):
        stopped_after(reviews_csv, tmp_path / "run", frozen, steps)
    run, _ = train(reviews_csv, tmp_path / "run", frozen, resume=True)
    assert_same_work(run, whole)
    assert not (run.path / "frozen").exists()


def test_a_resumed_run_reuses_the_file_of_frozen_outputs(
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


def test_frozen_outputs_of_another_precision_are_not_reused(
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
def test_a_signal_while_computing_frozen_outputs_stops_training_without_loss(
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


@dataclass(frozen=True)
class OnASmallDisk:
    """Call to install: frozen outputs do not fit in memory, and files are limited to `size` bytes."""

    size: int

    def __call__(self) -> None:
        bertune.training.frozen._SHARE_OF_MEMORY = 0
        LargestFile(self.size)()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="file sizes are limited on POSIX only")
def test_with_a_full_disk_the_exit_code_is_4_and_the_run_can_be_resumed(changes: Any, tmp_path: Path) -> None:
    # The frozen outputs of these texts are larger than any other file of the run.
    many_csv = write_csv(tmp_path / "many.csv", ("text", "label"), labelled_texts(350))
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
