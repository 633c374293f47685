"""Searches on published data sets of several tasks: one code for all, and no test row in any trial."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune.run import Run
from bertune.search.searching import search
from bertune.source import resolve_source
from bertune.tuning import Tuning

SETS: dict[str, dict[str, Any]] = {
    "cola": {"train.best_metric": "log_loss"},  # lower is better
    "wikiqa": {"train.max_examples": 200, "model.max_length": 64},
    "goemotions": {},
    "stsb": {"tune.folds": 2},
}


@pytest.mark.parametrize("name", SETS)
def test_a_search_on_any_task(
    data: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]], name: str
) -> None:
    few = {
        "train.max_examples": 96,
        "train.epochs": 1,
        "train.batch_size": 16,
        "data.calibration_fraction": 0,
    }
    chosen = {"tune.space.train.lr": "1e-4..1e-2", "tune.trials": 2, "tune.storage": "journal"}
    source = resolve_source(name, settings(**{**few, **chosen, **SETS[name]}))
    for _ in search(source, tmp_path / "out"):
        pass
    result = Tuning(tmp_path / "out")
    record = result.record
    values = [trial.value for trial in result.trials if trial.value is not None]
    assert len(values) == 2
    assert record.winner is not None
    assert record.winner.value == (min(values) if record.lower_is_better else max(values))
    assert record.optimism is not None
    assert (record.optimism.expected or 0.0) >= 0
    for manifest in (tmp_path / "out" / "trials").rglob("manifest.json"):
        run = Run(manifest.parent).record
        assert run.data is not None
        assert run.data.splits is not None
        # With folds, the split called test is the fold held out from the training rows.
        assert ("test" in run.data.splits) == ("tune.folds" in SETS[name])
    assert "test" in result.best.manifest["scores"] or name == "stsb"
