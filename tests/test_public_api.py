"""The public names of bertune, whose functions return values and print nothing."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertune as bt

DOCUMENTED = {
    "train", "load", "predict", "evaluate", "check", "report", "Run", "Model", "Evaluation", "BertuneError",
    "train_events", "export", "verify", "cross_validate", "CrossValidation", "compare", "Comparison",
    "decide", "BertClassifier", "BertRegressor", "tune", "Tuning",
}  # fmt: skip
EVENTS = {"DataReady", "Started", "Stepped", "Evaluated", "Noted", "Warned", "Finished"}


def test_the_public_names_are_exactly_the_documented_ones() -> None:
    assert len(bt.__all__) == len(set(bt.__all__))
    assert set(bt.__all__) == DOCUMENTED | EVENTS
    assert len(DOCUMENTED) <= 22
    assert set(dir(bt)) >= DOCUMENTED | EVENTS


def test_every_event_is_public() -> None:
    from typing import get_args

    from bertune.training.events import Event

    assert {event.__name__ for event in get_args(Event)} == EVENTS
    assert all(getattr(bt, name) in get_args(Event) for name in EVENTS)


def test_every_public_name_has_a_docstring() -> None:
    for name in bt.__all__:
        assert getattr(bt, name).__doc__, name


def test_public_names_are_not_replaced_by_imports() -> None:
    """Importing subpackages must not replace public functions such as `bertune.predict`."""
    code = (
        "import bertune as bt\n"
        "for _ in range(2):\n"
        "    for name in ('train', 'load', 'predict', 'evaluate', 'check', 'report', 'train_events'):\n"
        "        thing = getattr(bt, name)\n"
        "        assert type(thing).__name__ == 'function', (name, thing)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_module_can_be_imported_by_its_name() -> None:
    import bertune

    for module in pkgutil.walk_packages(bertune.__path__, "bertune."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="tran"):
        bt.tran  # noqa: B018


def test_the_library_prints_nothing(
    reviews_csv: Path,
    tmp_path: Path,
    settings: Callable[..., dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    from bertune import api

    capfd.readouterr()
    run = api.train(reviews_csv, settings=settings(**{"train.epochs": 1}), out=tmp_path / "run")
    api.check(reviews_csv, settings=settings())
    api.evaluate(run, reviews_csv)
    api.predict(run, ["great phone", "broken lamp"])
    api.predict(run, reviews_csv)
    api.report(run)
    assert capfd.readouterr() == ("", "")
