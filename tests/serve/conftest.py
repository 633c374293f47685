"""Trained models to serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from running import Running, serving

from small_texts import labelled_texts, write_csv
from trainings import train


@pytest.fixture(scope="session")
def reviews_run(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the task classification: is a review good or bad? At most 64 tokens. Read only."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if own.name.startswith("popen-") else own  # of all workers of pytest-xdist
    run = shared / "served" / "reviews"
    with FileLock(shared / "served.lock"):
        if not (run / "model").is_dir():
            run.parent.mkdir(exist_ok=True)
            data = write_csv(run.parent / "reviews.csv", ("text", "label"), labelled_texts(61))
            train(
                str(data),
                run,
                {
                    "model.name": str(tiny_weights),
                    "machine.precision": "fp32",
                    "machine.threads": 1,
                    "train.epochs": 3,
                    "train.batch_size": 8,
                    "train.lr": 1e-3,
                },
            )
    return run


@pytest.fixture(scope="session")
def reviews(reviews_run: Path) -> Iterator[Running]:
    """A service for this run with the default settings. Tests must not stop it."""
    with serving([reviews_run]) as found:
        yield found
