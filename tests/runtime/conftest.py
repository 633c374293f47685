"""Trained models with their exports, for the tests that run the exports without torch."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from exported import Exported
from filelock import FileLock

import bertune as bt
from tiny import reviews, write_csv
from trainings import train


@pytest.fixture(scope="session")
def classifier(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model for two labels, good and bad. Read only."""
    folder = _shared_folder(tmp_path_factory) / "classifier"
    settings = {"model.name": str(tiny_weights), "train.epochs": 1, "machine.threads": 1}
    return _once(folder, [("text", "label"), *reviews(40, 1)], settings)


@pytest.fixture(scope="session")
def embedder(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An embedding model. Read only."""
    folder = _shared_folder(tmp_path_factory) / "embedder"
    pairs = [(a, b) for (a, _), (b, _) in zip(reviews(24, 1), reviews(24, 2), strict=True)]
    settings = {"model.name": str(tiny_weights), "train.epochs": 1, "machine.threads": 1}
    return _once(folder, [("anchor", "positive"), *pairs], {**settings, "task.name": "embeddings"})


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of this test run, because an export takes seconds."""
    own = factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exports"


def _once(folder: Path, rows: list[tuple[str, str]], settings: Mapping[str, object]) -> Exported:
    """A model trained on rows, with its export, from the first process that asks for it."""
    found = Exported(folder / "run", folder / "export")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not found.export.exists():
            source = write_csv(folder / "train.csv", rows, header=None)
            run, _ = train(str(source), found.run, settings)
            bt.export(run, out=found.export)
    return found
