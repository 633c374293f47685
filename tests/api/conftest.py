"""A training through the library, shared by the tests that only use its model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from tiny import reviews
from trainings import train


@pytest.fixture(scope="session")
def run(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A model for single texts, trained on lists of forty texts labelled good or bad. Read only."""
    texts, labels = zip(*reviews(40, 1), strict=True)
    overrides = {"model.name": str(tiny_weights), "train.epochs": 1, "machine.threads": 1}
    return train(texts, tmp_path_factory.mktemp("runs") / "texts", overrides, labels=labels)[0]


@pytest.fixture(scope="session")
def pair_run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A model for pairs of texts. Read only."""
    pairs = [(a, b) for (a, _), (b, _) in zip(reviews(24, 1), reviews(24, 2), strict=True)]
    labels = [("same", "other", "unrelated")[i % 3] for i in range(24)]
    overrides = {"model.name": str(tiny_folder), "train.epochs": 1, "machine.threads": 1}
    return train(pairs, tmp_path_factory.mktemp("runs") / "pairs", overrides, labels=labels)[0]


@pytest.fixture
def checked(settings: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The result of `bertune.check` for a source: rows and labels by split, columns."""

    def check(source: object, labels: Any = None, **changes: Any) -> dict[str, Any]:
        prepared = bt.check(source, labels, settings=settings(**changes))
        data = prepared.audit["data"]
        splits = {name: split["rows"] for name, split in data["splits"].items()}
        return {"rows": splits, "labels": prepared.encoder.fitted.labels, "columns": data["columns"]}

    return check
