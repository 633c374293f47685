"""A training through the real command, shared by the tests that only read its results."""

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tiny import QUICK, Result, bertune, reviews, write_csv

EPOCHS = 3


@dataclass(frozen=True)
class Trained:
    """A training by `bertune train --json`. Read only."""

    folder: Path  # where the command ran
    run: Path
    said: Result


@pytest.fixture(scope="session")
def encoder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT without weights; its initialisation is wide enough to distinguish texts. Read only."""
    folder = tmp_path_factory.mktemp("models") / "encoder"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"initializer_range": 0.15}))
    return folder


@pytest.fixture(scope="session")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """train.csv (40 rows: id, text, label, note) and test.csv (21 rows) trained into runs/reviews."""
    folder = tmp_path_factory.mktemp("trained")
    for name, count, seed in (("train.csv", 40, 1), ("test.csv", 21, 2)):
        rows = [
            (f"{name[:2]}-{i}", text, label, f"row {i}")
            for i, (text, label) in enumerate(reviews(count, seed))
        ]
        write_csv(folder / name, rows, "id,text,label,note")
    with contextlib.chdir(folder):
        said = bertune(
            "train", "train.csv", "data.test=test.csv", "data.id=id", f"model.name={encoder}", *QUICK,
            f"train.epochs={EPOCHS}", "data.validation_fraction=0.2", "--out", "runs/reviews", "--json",
        )  # fmt: skip
    return Trained(folder, folder / "runs" / "reviews", said.fine())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command runs in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def quick(encoder: Path) -> tuple[str, ...]:
    """Settings for a training that takes a second."""
    return (f"model.name={encoder}", *QUICK)
