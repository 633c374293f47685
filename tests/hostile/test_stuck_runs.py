"""An unfinished run with damaged files can always be completed, with the same result; the files are named."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune.run import Run, open_run
from bertune.training.signals import StopFlag
from tiny import Result, bertune
from trainings import as_arguments, assert_nothing_half_written, assert_same_work, stopped_after, train

STEPS = 12  # the step at which training is stopped; there are then checkpoints of steps 10 and 12


@pytest.fixture(scope="module")
def changes(settings: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Settings for sixteen steps. The best step, 6, precedes both checkpoints, so both need its weights."""
    often = {"train.evaluate_every": 3, "train.checkpoint_every": 2}
    return settings(**{"train.lr": 0.2, "train.best_metric": "loss", **often})


@pytest.fixture(scope="module")
def whole(reviews_csv: Path, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(reviews_csv, tmp_path_factory.mktemp("whole") / "run", changes)[0]


@pytest.fixture(scope="module")
def unfinished(reviews_csv: Path, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stopped") / "run"
    stopped_after(reviews_csv, out, changes, STEPS)
    return out


@pytest.fixture
def stopped(unfinished: Path, tmp_path: Path) -> Path:
    """A copy of the stopped run, to be damaged."""
    return Path(shutil.copytree(unfinished, tmp_path / "run"))


@pytest.fixture
def resume(stopped: Path, whole: Run) -> Callable[..., Result]:
    """Resumes from the run folder only, and checks that the result equals that of the undisturbed run."""

    def go(*seen: str) -> Result:
        said = bertune("train", stopped, "--resume").fine()
        plain = " ".join(said.err.split())
        for word in seen:
            assert word in plain, said.err
        assert_same_work(open_run(stopped), whole)
        assert_nothing_half_written(stopped)
        return said

    return go


def flip(path: Path, place: float = 0.7) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def checkpoint(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:08d}"


def test_best_weights_needed_by_both_checkpoints_are_stored_twice(stopped: Path) -> None:
    states = [json.loads((checkpoint(stopped, s) / "state.json").read_text()) for s in (10, 12)]
    assert {state["progress"]["best_step"] for state in states} == {6}, "else these tests show less"
    names = sorted(path.name for path in (stopped / "checkpoints").glob("best-*"))
    assert names == ["best-00000006.safetensors", "best-00000006.spare.safetensors"]


@pytest.mark.parametrize("file", ["best-00000006.safetensors", "best-00000006.spare.safetensors"])
def test_one_damaged_copy_of_the_best_weights_loses_no_step(file: str, stopped: Path, resume: Any) -> None:
    flip(stopped / "checkpoints" / file)
    said = resume(file)
    assert f"step {STEPS}" in said.err


@pytest.mark.parametrize("file", ["model.safetensors", "state.json"])
def test_a_damaged_checkpoint_loses_one_interval(file: str, stopped: Path, resume: Any) -> None:
    flip(checkpoint(stopped, 12) / file)
    resume(f"step-00000012/{file}", "continues from the checkpoint of step 10")


def test_with_a_flipped_bit_in_each_checkpoint_training_restarts_and_completes(
    stopped: Path, resume: Any
) -> None:
    for step in (10, 12):
        flip(checkpoint(stopped, step) / "model.safetensors")
    resume("no intact checkpoint is left: training restarts from the first step")


def test_damaged_checkpoints_are_kept_until_the_run_is_complete(stopped: Path, monkeypatch: Any) -> None:
    flip(checkpoint(stopped, 12) / "model.safetensors")
    monkeypatch.setattr(StopFlag, "is_set", True, raising=False)
    monkeypatch.setattr(StopFlag, "__init__", lambda self: None)
    assert bertune("train", stopped, "--resume").code == 130
    assert (stopped / "checkpoints" / "damaged-step-00000012" / "model.safetensors").is_file()


def test_modified_progress_is_detected(stopped: Path, resume: Any) -> None:
    path = checkpoint(stopped, 12) / "state.json"
    state = json.loads(path.read_text())
    state["progress"] |= {"step": 14, "best_value": 0.0}
    path.write_text(json.dumps(state))
    resume("state.json", "step 10")


class TestRecords:
    """manifest.json, config.toml and metrics.jsonl are restored from a checkpoint."""

    @pytest.mark.parametrize(
        ("file", "damage"),
        [
            ("manifest.json", "flipped"), ("manifest.json", "gone"), ("config.toml", "emptied"),
            ("metrics.jsonl", "zeroed tail"),
        ],
    )  # fmt: skip
    def test_a_damaged_record_is_restored(self, damage: str, file: str, stopped: Path, resume: Any) -> None:
        path = stopped / file
        data = path.read_bytes()
        if damage == "flipped":
            flip(path)
        elif damage == "gone":
            path.unlink()
        else:
            path.write_bytes(b"" if damage == "emptied" else data[:-50] + bytes(50))
        resume(file, "restored")

    def test_lines_lost_at_the_end_of_the_metrics_are_restored(self, stopped: Path, resume: Any) -> None:
        path = stopped / "metrics.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
        resume("metrics.jsonl had missing or damaged lines")

    def test_without_any_checkpoint_a_lost_manifest_is_an_error_that_says_so(self, stopped: Path) -> None:
        shutil.rmtree(stopped / "checkpoints")
        flip(stopped / "manifest.json")
        said = bertune("train", stopped, "--resume")
        assert said.code == 3 and said.err.count("error:") == 1 and "Traceback" not in said.err
        assert "manifest.json" in said.err and "--out" in said.err

    def test_a_report_of_garbled_metrics_names_the_line(self, stopped: Path) -> None:
        path = stopped / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        for damaged in (["{garbled\n", *lines[1:]], [lines[0], *lines[2:]], ["[]\n", *lines[1:]]):
            path.write_text("".join(damaged))
            said = bertune("report", stopped)
            assert said.code == 3 and "metrics.jsonl, line" in said.err and "Traceback" not in said.err
            assert "--resume" in said.err


def test_files_left_by_a_kill_before_the_cleanup_are_removed(
    unfinished: Path, whole: Run, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole.path, tmp_path / "run"))
    shutil.copytree(unfinished / "checkpoints", run / "checkpoints")
    (run / "frozen").mkdir()
    (run / "frozen" / ("0" * 32 + ".npy")).write_bytes(b"x")
    bertune("train", run, "--resume").fine()
    assert not (run / "checkpoints").exists() and not (run / "frozen").exists()
    assert_same_work(open_run(run), whole)


def test_the_model_is_on_disk_before_the_run_is_complete(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only synced data is guaranteed to survive a power failure, so checkpoints are removed last."""
    events: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def syncing(descriptor: int) -> None:
        fsync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        events.append((f"sync {kind}", os.readlink(f"/proc/self/fd/{descriptor}")))

    def moving(original: Callable[[Path, Any], Path]) -> Callable[[Path, Any], Path]:
        def move(self: Path, target: Any) -> Path:
            events.append(("rename", f"{self} -> {target}"))
            return original(self, target)

        return move

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", moving(replace))
    monkeypatch.setattr(Path, "rename", moving(rename))
    run = tmp_path / "run"
    words = as_arguments(changes | {"train.epochs": 0.3})
    bertune("train", reviews_csv, *words, "--out", run).fine()
    moved = next(i for i, (kind, what) in enumerate(events) if what.endswith(f"-> {run / 'model'}"))
    complete = max(i for i, (kind, what) in enumerate(events) if what.endswith(f"-> {run / 'manifest.json'}"))
    before = {Path(what).name for kind, what in events[:moved] if kind == "sync file" and ".model." in what}
    assert before == {path.name for path in (run / "model").iterdir()} - {"README.md"}
    assert ("sync folder", str(run)) in events[moved:complete], "the rename itself must be on disk"
    assert moved < complete
