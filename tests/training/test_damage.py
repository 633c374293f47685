"""A run with a damaged file continues with the same result, or the error names the file."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertune import api
from bertune.errors import BertuneError, DamagedError, InputError, ModelError
from bertune.files import changed_files
from bertune.run import Run, open_run
from bertune.training.checkpoint import Checkpoints
from bertune.training.events import Warned
from trainings import assert_same_work, stopped_after, train

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def changes(settings: Callable[..., dict[str, Any]]) -> Settings:
    """Fourteen steps, with an evaluation after every third and a checkpoint after every second."""
    often = {"train.evaluate_every": 3, "train.checkpoint_every": 2}
    return settings(**{"train.lr": 2e-3, "train.best_metric": "loss", **often})


@pytest.fixture(scope="module")
def whole(reviews_csv: Path, changes: Settings, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of an undisturbed training. Read only."""
    return train(reviews_csv, tmp_path_factory.mktemp("whole") / "run", changes)[0]


@pytest.fixture
def finished(whole: Run, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole.path, tmp_path / "finished"))


@pytest.fixture(scope="module")
def unfinished(reviews_csv: Path, changes: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after step 10, with checkpoints of steps 8 and 10. Read only."""
    run = tmp_path_factory.mktemp("unfinished") / "run"
    stopped_after(reviews_csv, run, changes, steps=10)
    return run


@pytest.fixture
def stopped(unfinished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(unfinished, tmp_path / "run"))


@pytest.fixture
def bare(stopped: Path) -> Path:
    """An unfinished run without checkpoints."""
    shutil.rmtree(stopped / "checkpoints")
    return stopped


def resumed(run: Path) -> tuple[Run, list[str]]:
    """The resumed run after its end, and the warnings."""
    events = list(api.train_events(run, resume=True))
    return open_run(run), [event.text for event in events if isinstance(event, Warned)]


@pytest.mark.parametrize("content", [None, b"", b"[train]\nlr = 1.0\n"])
def test_lost_settings_without_a_copy_are_an_error_with_a_remedy(content: bytes | None, bare: Path) -> None:
    replace(bare / "config.toml", content)
    with pytest.raises(DamagedError, match=r"config\.toml .* start again: .* another --out"):
        list(api.train_events(bare, resume=True))


@pytest.mark.parametrize("content", [None, b"", b"{}"])
@pytest.mark.parametrize("with_weights", [False, True])
def test_a_lost_manifest_without_a_copy_is_an_error_with_a_working_command(
    content: bytes | None,
    with_weights: bool,
    bare: Path,
    whole: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weights of an evaluation are not a checkpoint from which training can continue."""
    monkeypatch.chdir(tmp_path)
    if with_weights:
        (bare / "checkpoints").mkdir()
        (bare / "checkpoints" / "best-00000003.safetensors").write_bytes(b"")
    replace(bare / "manifest.json", content)
    with pytest.raises(DamagedError, match=rf"manifest\.json .*`bertune train {bare.name} --out NEW`"):
        list(api.train_events(bare, resume=True))
    assert not (tmp_path / "runs").exists(), "no other run may be begun instead"
    assert_same_work(train(bare, tmp_path / "new", {})[0], whole)


def test_no_restore_is_promised_if_every_checkpoint_is_damaged(stopped: Path) -> None:
    replace(stopped / "manifest.json", b"")
    for state in stopped.glob("checkpoints/step-*/state.json"):
        state.write_bytes(b"")
    with pytest.raises(DamagedError, match=r"no intact checkpoint has a copy\. Start again") as caught:
        list(api.train_events(stopped, resume=True))
    assert "--resume" not in str(caught.value)


def test_a_state_file_of_another_checkpoint_is_reported(stopped: Path, whole: Run) -> None:
    older, newer = sorted(stopped.glob("checkpoints/step-*"))
    shutil.copyfile(older / "state.json", newer / "state.json")
    run, warnings = resumed(stopped)
    assert f"{newer / 'state.json'} belongs to step 8" in warnings
    assert "training continues from the checkpoint of step 8" in warnings
    assert_same_work(run, whole)


def test_damage_to_the_fallback_checkpoint_is_detected(stopped: Path, whole: Run) -> None:
    older, _ = sorted(stopped.glob("checkpoints/step-*"))
    flip(older / "model.safetensors")
    run, warnings = resumed(stopped)
    assert f"{older / 'model.safetensors'} does not match its checksum" in warnings
    assert "training continues from the checkpoint of step 10" in warnings
    assert_same_work(run, whole)


def test_a_damaged_spare_copy_of_the_best_weights_is_renamed(stopped: Path) -> None:
    checkpoints = Checkpoints(stopped / "checkpoints")
    found = checkpoints.latest_valid().checkpoint
    assert found is not None
    best = checkpoints.best_path(found.progress.best_step)
    spare = best.with_name(best.name.replace(".safetensors", ".spare.safetensors"))
    spare.write_bytes(best.read_bytes())
    flip(spare)
    damage = Checkpoints(stopped / "checkpoints").latest_valid().damage
    assert damage == [f"{spare} does not match its checksum"]
    assert not spare.exists()


def test_frozen_outputs_with_a_damaged_checksum_are_recomputed(
    reviews_csv: Path, changes: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertune.training.frozen._SHARE_OF_MEMORY", 0.0)
    settings = changes | {"train.freeze": 1}
    expected, _ = train(reviews_csv, tmp_path / "expected", settings)
    stopped_after(reviews_csv, tmp_path / "run", settings, steps=5)
    (seal,) = (tmp_path / "run" / "frozen").glob("*.sha256")
    seal.write_bytes(bytes([seal.read_bytes()[0] | 0x80]) + seal.read_bytes()[1:])  # not ASCII
    run, _ = resumed(tmp_path / "run")
    assert_same_work(run, expected)


@pytest.mark.parametrize("verb", ["resume", "report", "predict"])
def test_a_finished_run_without_bertune_json_is_refused(verb: str, finished: Path) -> None:
    (finished / "model" / "bertune.json").unlink()
    with pytest.raises(ModelError, match=r"model has no bertune\.json\. .* Restore the folder from a copy"):
        {"resume": resumed, "report": api.report, "predict": api.load}[verb](finished)


def test_no_report_is_made_from_an_outdated_manifest(finished: Path, stopped: Path, whole: Run) -> None:
    shutil.copyfile(stopped / "manifest.json", finished / "manifest.json")
    with pytest.raises(DamagedError, match=r"manifest\.json is older than .*model"):
        api.report(finished)
    assert_same_work(resumed(finished)[0], whole)


def test_a_report_does_not_need_the_model(finished: Path) -> None:
    shutil.rmtree(finished / "model")
    assert api.report(finished).is_file()


def test_a_run_without_a_manifest_can_still_predict(finished: Path, whole: Run) -> None:
    (finished / "manifest.json").unlink()
    texts = ["a great lamp", "a broken lamp"]
    found, expected = (
        [prediction.probabilities for prediction in api.predict(run, texts)] for run in (finished, whole.path)
    )
    np.testing.assert_array_equal(found, expected)


def test_a_model_folder_that_is_not_ours_must_be_moved_away(
    stopped: Path, whole: Run, tmp_path: Path
) -> None:
    (stopped / "model").mkdir()
    (stopped / "model" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model/bertune\.json is missing: .* Move the folder away"):
        resumed(stopped)
    (stopped / "model").rename(tmp_path / "moved")
    assert_same_work(resumed(stopped)[0], whole)


def test_a_run_with_changed_settings_is_not_used_as_a_source(finished: Path, tmp_path: Path) -> None:
    config = finished / "config.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("lr = 0.002", "lr = 0.003"), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"config\.toml does not match its checksum") as caught:
        api.train(finished, out=tmp_path / "new")
    assert isinstance(caught.value, BertuneError) and "copy the file and train from the copy" in str(
        caught.value
    )
    assert not (tmp_path / "new").exists()


def test_the_changed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert changed_files(tmp_path, {"kept": empty, "gone": empty}) == [f"{tmp_path / 'gone'} is missing"]


def replace(path: Path, content: bytes | None) -> None:
    """Replaces the content of a file, or removes the file if `content` is None."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def flip(path: Path) -> None:
    """Flips a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
