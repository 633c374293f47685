"""An existing run folder is not changed, and the error names both remedies."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tiny import bertune, contents, reviews, write_csv


@pytest.fixture
def run(trained: Any, here: Path) -> Path:
    """A copy of the trained run that tests can change."""
    shutil.copytree(trained.run, here / "run")
    return here / "run"


def without_report(run: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(run).items() if not name.startswith("report")}


def test_an_existing_run_is_refused_with_both_remedies_and_not_changed(
    run: Path, here: Path, quick: tuple[str, ...]
) -> None:
    write_csv(here / "a.csv", reviews(20))
    before = contents(here)
    said = bertune("train", "a.csv", *quick, "--out", "run")
    assert said.code == 1
    assert said.out == ""
    assert "already exists" in said.err and "--out" in said.err and "--resume" in said.err
    assert contents(here) == before


def test_an_existing_run_is_refused_before_the_data_is_read(
    run: Path, here: Path, quick: tuple[str, ...]
) -> None:
    (here / "a.csv").write_text('text,label\n"never closed')
    said = bertune("train", "a.csv", *quick, "--out", "run")
    assert said.code == 1 and "already exists" in said.err


def test_other_existing_folders_are_not_changed(here: Path, quick: tuple[str, ...]) -> None:
    (here / "notes").mkdir()
    (here / "notes" / "todo.txt").write_text("mine")
    write_csv(here / "a.csv", reviews(20))
    before = contents(here)
    for resume in ((), ("--resume",)):
        said = bertune("train", "a.csv", *quick, "--out", "notes", *resume)
        assert said.code == 1 and "notes" in said.err and "--out" in said.err
        assert contents(here) == before


def test_resume_is_not_advised_if_it_was_given(here: Path, quick: tuple[str, ...]) -> None:
    (here / "notes").mkdir()
    write_csv(here / "a.csv", reviews(20))
    said = bertune("train", "a.csv", *quick, "--out", "notes", "--resume")
    assert said.code == 1
    assert "continue that run with --resume" not in said.err, "a folder that is no run cannot be continued"


def test_a_run_as_source_without_resume_is_refused_with_both_remedies(run: Path, here: Path) -> None:
    before = contents(here)
    said = bertune("train", "run")
    assert said.code == 3
    assert "--out" in said.err and "--resume" in said.err
    assert contents(here) == before


def test_resuming_a_complete_run_prints_its_scores(run: Path, trained: Any) -> None:
    before = without_report(run)
    said = bertune("train", "run", "--resume", "--json").fine()
    assert said.json["scores"] == trained.said.json["scores"]
    assert without_report(run) == before


def test_resuming_a_complete_run_with_other_settings_is_an_error(run: Path, trained: Any) -> None:
    """Its scores belong to other settings, so printing them would be misleading."""
    said = bertune("train", "run", "train.epochs=9", "train.lr=1e-5", "--resume", "--json")
    assert said.code != 0
    assert "train.epochs" in said.err and "train.lr" in said.err


@pytest.mark.parametrize("setting", ["train.epochs=many", "train.epoch=3"])
def test_a_wrong_setting_is_refused_on_resume_too(run: Path, setting: str) -> None:
    assert bertune("train", "run", setting, "--resume").code == 3


def test_resume_without_a_run_starts_one(here: Path, quick: tuple[str, ...]) -> None:
    """A job that may be restarted can use the same command the first time."""
    write_csv(here / "a.csv", reviews(20))
    bertune("train", "a.csv", *quick, "--out", "run", "--resume").fine()
    assert (here / "run" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("out", ["a.csv/run", "a.csv"])
def test_an_impossible_out_folder_is_refused(here: Path, quick: tuple[str, ...], out: str) -> None:
    write_csv(here / "a.csv", reviews(20))
    before = contents(here)
    said = bertune("train", "a.csv", *quick, "--out", out)
    assert said.code in (1, 3)
    assert "a.csv" in said.err and "--out" in said.err and "Traceback" not in said.err
    assert contents(here) == before


def test_parent_folders_of_a_run_are_created(here: Path, quick: tuple[str, ...]) -> None:
    write_csv(here / "a.csv", reviews(20))
    bertune("train", "a.csv", *quick, "--out", "deep/down/run").fine()
    assert (here / "deep" / "down" / "run" / "manifest.json").is_file()


def test_the_report_is_rewritten_and_its_path_printed(run: Path) -> None:
    shutil.rmtree(run / "report")
    before = without_report(run)
    said = bertune("report", "run").fine()
    assert Path(said.out.strip()) == Path("run/report/index.html")
    assert (run / "report" / "index.html").is_file()
    assert without_report(run) == before


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda run: (run / "manifest.json").write_text("{"), "manifest.json"),
        (lambda run: (run / "manifest.json").unlink(), "manifest.json"),
        (lambda run: (run / "manifest.json").write_text('{"format": 99}'), "99"),
    ],
)
def test_a_damaged_run_is_refused_by_name(run: Path, change: Any, seen: str) -> None:
    change(run)
    said = bertune("report", "run")
    assert said.code == 3 and seen in said.err


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda model: (model / "bertune.json").write_text("{"), "bertune.json"),
        (lambda model: (model / "bertune.json").unlink(), "bertune.json"),
        (lambda model: (model / "model.safetensors").unlink(), "model.safetensors"),
        (lambda model: (model / "model.safetensors").write_bytes(b"\x08" + bytes(30)), "model.safetensors"),
        (lambda model: (model / "config.json").write_text("{"), "config.json"),
        (lambda model: (model / "tokenizer.json").write_text("{"), "tokenizer"),
    ],
)
def test_a_damaged_model_is_refused_by_name(run: Path, change: Any, seen: str) -> None:
    change(run / "model")
    said = bertune("predict", "run", "-", stdin="great phone\n")
    assert said.code == 3, said.err
    assert said.err.count("error:") == 1 and seen in said.err
