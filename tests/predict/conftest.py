"""Small trained models, shared by the tests that only use them."""

from pathlib import Path

import pytest

import bertune as bt
from tiny import reviews
from trainings import train


@pytest.fixture(scope="session")
def small(tiny_weights: Path) -> dict[str, object]:
    """Settings for a training that takes a second."""
    return {"model.name": str(tiny_weights), "train.epochs": 1, "machine.threads": 1}


@pytest.fixture(scope="session")
def classifier(small: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A model for two labels, good and bad. Read only."""
    texts, labels = zip(*reviews(40, 1), strict=True)
    return train(texts, tmp_path_factory.mktemp("runs") / "labels", small, labels=labels)[0]


@pytest.fixture(scope="session")
def many_labels(small: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A model for 130 labels; predictions show 10 of them. Read only."""
    rows = [{"text": text, "label": f"label {n % 130:03}"} for n, (text, _) in enumerate(reviews(520, 1))]
    return train(rows, tmp_path_factory.mktemp("runs") / "many", small)[0]


@pytest.fixture(scope="session")
def multilabel(small: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A multilabel model for three labels. Read only."""
    rows = [
        {"text": text, "labels": [("sound", "screen", "battery")[n % 3], label]}
        for n, (text, label) in enumerate(reviews(40, 1))
    ]
    settings = {**small, "task.name": "multilabel"}
    return train(rows, tmp_path_factory.mktemp("runs") / "multilabel", settings)[0]


@pytest.fixture(scope="session")
def embeddings(small: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """An embedding model. Read only."""
    pairs = [(a, b) for (a, _), (b, _) in zip(reviews(24, 1), reviews(24, 2), strict=True)]
    rows = [{"anchor": a, "positive": b} for a, b in pairs]
    settings = {**small, "task.name": "embeddings"}
    return train(rows, tmp_path_factory.mktemp("runs") / "embeddings", settings)[0]
