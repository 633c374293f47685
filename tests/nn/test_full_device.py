"""A GPU filled by other processes has no room even for the model: a clear error, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertune
from bertune.errors import ResourceError
from bertune.nn.model import StandardModel
from bertune.run import Run
from trainings import train


@pytest.fixture
def trained(settings: Callable[..., dict[str, Any]], reviews_csv: Path, tmp_path: Path) -> Run:
    return train(reviews_csv, tmp_path / "trained", settings(**{"train.epochs": 1}))[0]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the CUDA runtime as torch raises it."""

    def to(*_: Any) -> Any:
        raise RuntimeError(
            "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs.nvidia.com"
        )

    monkeypatch.setattr(StandardModel, "to", to)


MESSAGE = r"out of memory \(CUDA error: out of memory\)\..*another machine\.device"


def test_training_on_a_full_device_is_an_error_and_leaves_no_run(
    settings: Callable[..., dict[str, Any]], reviews_csv: Path, tmp_path: Path, full: None
) -> None:
    with pytest.raises(ResourceError, match=MESSAGE) as caught:
        train(reviews_csv, tmp_path / "run", settings())
    assert caught.value.exit_code == 4
    assert not (tmp_path / "run").exists()


def test_loading_a_model_on_a_full_device_is_an_error(trained: Run, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("full")
    with pytest.raises(ResourceError, match=MESSAGE):
        bertune.load(trained)
