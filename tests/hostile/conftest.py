"""A model and its run, trained once with the real command; tests damage copies of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny import QUICK, bertune, reviews, write_csv


@pytest.fixture(scope="session")
def clean_run(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on 40 reviews, with a test file next to it. Tests must not change it."""
    folder = tmp_path_factory.mktemp("clean")
    train = write_csv(folder / "train.csv", reviews(40, seed=1))
    test = write_csv(folder / "test.csv", reviews(10, seed=2))
    bertune(
        "train", train, f"data.test={test}", f"model.name={tiny_weights}", *QUICK, "--out", folder / "run"
    ).fine()
    return folder / "run"


@pytest.fixture
def run(clean_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    shutil.copytree(clean_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def model(clean_run: Path, tmp_path: Path) -> Path:
    """A copy of the model folder only."""
    shutil.copytree(clean_run / "model", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def encoder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy of the tiny pretrained encoder, a plain Hugging Face folder."""
    shutil.copytree(tiny_weights, tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.fixture
def train_csv(tmp_path: Path) -> Path:
    """A training file with twenty reviews."""
    return write_csv(tmp_path / "train.csv", reviews(20))


Edit = Callable[[dict[str, object]], None]
