"""Messages show paths as the user wrote them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bertune.files import shell_word, shown_path
from tiny import bertune, reviews, write_csv


@pytest.fixture
def data(here: Path) -> Path:
    """The folder `data` in the current folder, with files for training and prediction."""
    folder = here / "data"
    folder.mkdir()
    write_csv(folder / "train.csv", reviews(20))
    write_csv(folder / "empty.csv", [])
    write_csv(folder / "wrong.csv", [("a text", "good"), ("", "good")])
    return folder


def test_paths_inside_the_current_folder_are_shown_as_relative(here: Path) -> None:
    assert shown_path("a/b") == "a/b"
    assert shown_path(here / "a" / "b") == str(Path("a", "b"))
    assert shown_path(here.parent / "a") == str(here.parent / "a")
    assert shell_word(here / "a b") == "'a b'"
    assert shell_word(here / "-a") == "./-a"


def test_a_training_with_relative_paths_shows_no_absolute_path(
    here: Path, data: Path, quick: tuple[str, ...]
) -> None:
    first = bertune("train", "data/train.csv", *quick, "--out", "runs/first").fine()
    again = bertune("train", "data/train.csv", *quick, "--out", "runs/first")
    empty = bertune("train", "data/empty.csv", *quick, "--out", "runs/empty")
    wrong = bertune("predict", "runs/first", "data/absent.csv")
    assert (again.code, empty.code, wrong.code) == (1, 3, 3)
    assert "runs/first" in first.err and "runs/first" in again.err
    assert "data/empty.csv" in empty.err and "data/absent.csv" in wrong.err
    for said in (first, again, empty, wrong):
        assert str(here) not in said.out + said.err


def test_absolute_paths_stay_absolute_outside_the_current_folder(
    here: Path, data: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = here / "runs" / "first"
    said = bertune("train", data / "train.csv", *quick, "--out", run).fine()
    assert f"bertune predict {run} FILE" in said.err
    refused = bertune("train", data / "empty.csv", *quick, "--out", here / "runs" / "empty")
    assert re.search(rf"^error: {re.escape(str(data / 'empty.csv'))}", refused.err), refused.err


def test_stored_predictions_have_absolute_sources(trained: Any) -> None:
    stored = (trained.run / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(stored[0])["source"] == f"{trained.folder / 'test.csv'}, line 2"
