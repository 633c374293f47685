"""The user's files are never removed, overwritten, or written through a link."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bertune as bt
from bertune.files import is_temporary, temporary_name
from tiny import QUICK, bertune, contents, reviews, write_csv

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")


@pytest.fixture
def quick(tiny_weights: Path) -> tuple[str, ...]:
    """Settings for a training run of about a second."""
    return (f"model.name={tiny_weights}", *QUICK)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder, with various hidden files."""
    folder = tmp_path / "proj"
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    for name in (".lock", ".env", ".model.123", ".step-00000001.tmp", ".x.tmp", "mine.txt", ".bertune-lock"):
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize("flags", [(), ("--resume",)])
def test_training_into_a_folder_that_is_not_a_run_changes_nothing_in_it(
    flags: tuple[str, ...], project: Path, train_csv: Path, quick: tuple[str, ...]
) -> None:
    before = contents(project)
    said = bertune("train", train_csv, *quick, "--out", project, *flags)
    assert said.code == 1 and "is not a run. Nothing in it was changed" in said.err
    assert contents(project) == before
    with pytest.raises(bt.BertuneError, match="Nothing in it was changed"):
        bt.train(str(train_csv), settings={"model.name": quick[0].split("=")[1]}, out=project)
    assert contents(project) == before


def test_an_empty_folder_is_not_written_to(tmp_path: Path, train_csv: Path, quick: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    assert bertune("train", train_csv, *quick, "--out", tmp_path / "empty").code == 1
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("flags", [("--resume",), ()])
def test_a_run_that_is_a_git_repository_keeps_it(
    flags: tuple[str, ...], run: Path, train_csv: Path, quick: tuple[str, ...]
) -> None:
    subprocess.run(["git", "init", "-q", str(run)], check=True)
    (run / ".env").write_text("SECRET=1")
    (run / "predictions" / ".mine").write_text("mine")
    (run / ".bertune-lock").touch()  # as left by a killed process
    kept = {name: data for name, data in contents(run).items() if name.startswith((".git", ".env"))}
    if flags:
        bertune("train", run, *flags).fine()
        bt.train(str(run), resume=True)
    else:
        assert bertune("train", train_csv, *quick, "--out", run).code == 1
    after = contents(run)
    assert {name: after.get(name) for name in kept} == kept
    assert after["predictions/.mine"] == b"mine"


def test_only_temporary_files_of_a_killed_process_are_removed(run: Path) -> None:
    from bertune.run_writer import RunWriter

    left = [run / temporary_name("manifest.json"), run / "predictions" / temporary_name("test.jsonl")]
    folder = run / temporary_name("model")
    folder.mkdir()
    for path in (*left, folder / "x"):
        path.write_text("half")
    mine = [run / ".manifest.json.12.tmp", run / "predictions" / ".test.jsonl", run / "x.bertune-tmp"]
    for path in mine:
        path.write_text("mine")
    with RunWriter(run):
        pass
    assert not any(path.exists() for path in (*left, folder))
    assert all(path.read_text() == "mine" for path in mine)
    assert not (run / ".bertune-lock").exists()


def test_temporary_names_are_recognised_and_short_enough() -> None:
    for name in ("manifest.json", "x" * 255, "漢" * 80, "-"):
        made = temporary_name(name)
        assert is_temporary(made) and len(made.encode()) <= 255
    for name in (".git", ".x.tmp", "a.bertune-tmp", ".bertune-tmp", "..bertune-tmp"):
        assert not is_temporary(name), name


@POSIX
@pytest.mark.parametrize("name", ["checkpoints", "predictions", "model", "report", "frozen", "metrics.jsonl"])
@pytest.mark.parametrize("verb", ["train", "report"])
def test_links_in_a_run_folder_are_not_followed(verb: str, name: str, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    if "." in name:
        outside.write_text("mine")
    else:
        outside.mkdir()
        (outside / ".hidden").write_text("mine")
        (outside / "step-00000002").mkdir()
        (outside / "best-00000002.safetensors").write_text("mine")
    before = contents(outside) if outside.is_dir() else outside.read_bytes()
    target = run / name
    if target.is_dir():
        shutil.rmtree(target)
    elif target.exists():
        target.unlink()
    target.symlink_to(outside)
    said = bertune("train", run, "--resume") if verb == "train" else bertune("report", run)
    assert said.code == 3, said.err
    assert (contents(outside) if outside.is_dir() else outside.read_bytes()) == before
    assert said.err.count("error:") == 1 and "Traceback" not in said.err


@POSIX
def test_a_lock_that_is_a_link_is_refused_and_its_target_is_kept(run: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (run / ".bertune-lock").symlink_to(tmp_path / "target")
    said = bertune("train", run, "--resume")
    assert said.code == 3 and "symbolic link" in said.err and "Traceback" not in said.err
    assert (tmp_path / "target").read_text() == "mine"


def test_the_users_files_in_the_working_folders_survive_the_end_of_training(
    tmp_path: Path, train_csv: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After training, only its checkpoints are removed, not the folder with its other content."""
    from bertune.training.session import Session

    save = Session._update_best

    def noting(self: Session, value: float | None) -> bool:
        found = save(self, value)
        (tmp_path / "run" / "checkpoints" / "notes.txt").write_text("mine")
        for name in (".git", "step-of-mine", "best-of-all.safetensors"):
            (tmp_path / "run" / "checkpoints" / name).mkdir(exist_ok=True)
        return found

    monkeypatch.setattr(Session, "_update_best", noting)
    bertune("train", train_csv, *quick, "--out", tmp_path / "run").fine()
    left = contents(tmp_path / "run" / "checkpoints")
    assert left == {"notes.txt": b"mine", ".git": b"", "step-of-mine": b"", "best-of-all.safetensors": b""}


def test_a_full_disk_removes_only_files_written_by_training(
    tmp_path: Path, train_csv: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from bertune.training import checkpoint

    def full(*arguments: object) -> None:
        (tmp_path / "run" / ".env").write_text("mine")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", full)
    said = bertune("train", train_csv, *quick, "--out", tmp_path / "run")
    assert said.code == 4 and "no space left" in said.err
    assert contents(tmp_path / "run") == {".env": b"mine"}


class TestOutputs:
    """Results never overwrite the data they are computed from."""

    def test_predictions_do_not_replace_the_file_of_texts(self, model: Path, tmp_path: Path) -> None:
        texts = write_csv(tmp_path / "texts.csv", reviews(4))
        before = texts.read_bytes()
        said = bertune("predict", model, texts, "--out", texts)
        assert said.code == 3 and "texts.csv" in said.err
        assert texts.read_bytes() == before

    @POSIX
    def test_predictions_do_not_go_through_a_link(self, model: Path, tmp_path: Path) -> None:
        texts = write_csv(tmp_path / "texts.csv", reviews(4))
        (tmp_path / "target.jsonl").write_text("mine")
        (tmp_path / "out.jsonl").symlink_to(tmp_path / "target.jsonl")
        bertune("predict", model, texts, "--out", tmp_path / "out.jsonl").fine()
        assert (tmp_path / "target.jsonl").read_text() == "mine"

    def test_an_evaluation_does_not_replace_files_that_are_there(self, model: Path, tmp_path: Path) -> None:
        """An existing file may be the user's data."""
        write_csv(tmp_path / "test.csv", reviews(4))
        (tmp_path / "test.jsonl").write_text('{"text": "mine", "label": "good"}\n')
        said = bertune("evaluate", model, tmp_path / "test.csv", "--out", tmp_path / "test.jsonl")
        assert said.code == 3 and "test.jsonl" in said.err and "does not overwrite" in said.err
        assert (tmp_path / "test.jsonl").read_text() == '{"text": "mine", "label": "good"}\n'
