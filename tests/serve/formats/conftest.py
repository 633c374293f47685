"""One service with a model of each task that the fixture `reviews` does not have."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
from running import Running, serving
from untrained import MODELS, save_model, write_encoder

import bertune as bt
from bertune.predict.model import Model
from bertune.serve import opening


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each of MODELS by name. Read only."""
    folder = tmp_path_factory.mktemp("untrained")
    encoder = write_encoder(tmp_path_factory.mktemp("encoder"))
    places = {name: folder / name for name in MODELS}
    for place in places.values():
        save_model(place, encoder)
    return places


@pytest.fixture(scope="session")
def every(models: dict[str, Path]) -> Iterator[Running]:
    """A service for all MODELS. Tests must not stop it."""
    with not_measured(), serving(list(models.values())) as found:
        yield found


@pytest.fixture(scope="session")
def library(models: dict[str, Path], reviews_run: Path) -> Callable[[str], Model]:
    """The models of `every` and `reviews` by name, as the library loads them."""
    places = {**models, "reviews": reviews_run}
    return cache(lambda name: bt.load(places[name], settings={"machine.threads": 1}))


def not_measured() -> "mock._patch[float]":
    """Services that start sooner: how fast a tiny model is does not matter here."""
    return mock.patch.object(opening, "_SECONDS_ALONE", 0.01)
