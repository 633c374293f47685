"""A trained model and its run, made once by the real command; tests damage copies of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny import QUICK, bertune, reviews, write_csv


@pytest.fixture(scope="session")
def clean_run(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 40 reviews with a test file beside it. Read only."""
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
    """A copy of the model folder alone."""
    shutil.copytree(clean_run / "model", tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def encoder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy of the tiny pretrained encoder, a plain Hugging Face folder."""
    shutil.copytree(tiny_weights, tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.fixture
def train_csv(tmp_path: Path) -> Path:
    """Twenty reviews to train on."""
    return write_csv(tmp_path / "train.csv", reviews(20))


Edit = Callable[[dict[str, object]], None]
