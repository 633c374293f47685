"""Other libraries give the calibrated probabilities of a saved model, without knowing the temperature."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_transformers import BOTH, assert_close

import bertune as bt
from bertune import saved_model
from bertune.metadata import read_metadata, update_decision
from bertune.metrics.calibration import Calibration
from tiny import reviews, write_csv
from tiny_exports import Exports, rows_of

FP32 = {"machine.precision": "fp32", "machine.threads": 1}
TASKS = [
    "classification",
    "multilabel",
    "multiple_choice",
    "question_answering",
    "ranking",
    "token_classification",
]


def calibrated(run: Path, folder: Path, *temperatures: float) -> Path:
    """A copy of the model of a run that is saved with temperatures."""
    loaded, calibration = saved_model.load(run / "model"), Calibration(temperatures)
    fitted = replace(loaded.fitted, calibration=calibration)
    saved_model.save(
        folder, replace(loaded, fitted=fitted, metadata=replace(loaded.metadata, calibration=calibration))
    )
    return folder


def unlabelled(kind: str, folder: Path) -> list[dict[str, Any]]:
    columns = read_metadata(folder).columns
    return [{key: row[key] for key in columns.text} for row in rows_of(kind)]


@pytest.mark.parametrize("kind", TASKS)
def test_other_libraries_give_the_calibrated_predictions(kind: str, exports: Exports, tmp_path: Path) -> None:
    run = exports.run(kind)
    labels = read_metadata(run / "model").labels
    temperatures = np.linspace(2, 4, len(labels)) if kind == "multilabel" else [2.5]
    folder = calibrated(run, tmp_path / "model", *temperatures)
    rows, model = unlabelled(kind, folder), bt.load(folder, settings=FP32)
    theirs, ours = BOTH[kind](folder, model, rows)
    assert_close(theirs, ours)


def test_the_temperature_is_applied_once(exports: Exports, tmp_path: Path) -> None:
    run = exports.run("classification")
    texts = [row["text"] for row in unlabelled("classification", run / "model")]
    plain_NC = bt.load(run, settings=FP32).predict_proba(texts)
    expected_NC = plain_NC**0.4 / (plain_NC**0.4).sum(axis=1, keepdims=True)
    first = calibrated(run, tmp_path / "first", 2.5)
    saved_again = (
        calibrated(tmp_path, tmp_path / "second", 2.5) if first.rename(tmp_path / "model") else first
    )
    found_NC = bt.load(saved_again, settings=FP32).predict_proba(texts)
    np.testing.assert_allclose(found_NC, expected_NC, atol=1e-6)


@pytest.mark.parametrize("calibration", ["auto", "none"])
def test_deciding_later_records_what_other_libraries_must_still_divide_by(
    calibration: str, exports: Exports, tmp_path: Path
) -> None:
    """The weights stay as they are, so that a process that is killed cannot leave half of a model."""
    folder = calibrated(exports.run("classification"), tmp_path / "model", 2.5)
    weights = (folder / "model.safetensors").read_bytes()
    new = write_csv(tmp_path / "new.csv", reviews(200, seed=4))
    bt.decide(folder, new, settings={"decide.calibration": calibration, "decide.abstain_below": 0.6})
    assert (folder / "model.safetensors").read_bytes() == weights
    metadata = read_metadata(folder)
    assert metadata.remaining_temperatures not in (None, [1.0])
    theirs, ours = BOTH["classification"](
        folder, bt.load(folder, settings=FP32), unlabelled("classification", folder)
    )
    (remaining,) = metadata.remaining_temperatures or [0.0]
    for one, other in zip(theirs, ours, strict=True):
        powers = {label: probability ** (1 / remaining) for label, probability in one.items()}
        again = {label: power / sum(powers.values()) for label, power in powers.items()}
        assert again == pytest.approx(other, abs=1e-4)


def test_a_note_names_the_temperature_that_the_weights_do_not_contain(
    exports: Exports, tmp_path: Path
) -> None:
    folder = calibrated(exports.run("classification"), tmp_path / "model", 2.5)
    assert "The logits are calibrated" in (read_metadata(folder).calibration_note or "")
    update_decision(folder, Calibration((3.0,)), None)
    assert "divided by 1.2," in (read_metadata(folder).calibration_note or "")
