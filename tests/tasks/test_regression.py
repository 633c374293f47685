"""Regression: numbers in the unit of the data, and errors in cells with their location."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.nn.batch import collate
from bertune.tasks import make_task
from bertune.tasks.regression.task import Example, NumberPrediction
from bertune.text.tokenizer import Tokenizer
from trainings import train

COLUMNS = Columns(("text",), "score", None)
QUICK = {
    "task.name": "regression",
    "train.epochs": 2,
    "train.batch_size": 4,
    "machine.device": "cpu",
    "machine.precision": "fp32",
}


def parse(cell: Any) -> Any:
    task = make_task(TaskConfig(name="regression"))
    return task.parse(Row({"text": "fine", "score": cell}, Origin("a.csv", 7)), COLUMNS)


def examples(*gold: float) -> list[Example]:
    return [Example(str(i), Origin("a.csv", i), (f"text {i}",), value) for i, value in enumerate(gold)]


def rows(scale: float = 1.0, shift: float = 0.0) -> list[dict[str, Any]]:
    words = ["great", "broken", "dull", "lovely", "slow", "bright", "phone", "lamp"]
    return [{"text": f"it was {word}", "score": shift + scale * i} for i, word in enumerate(words)]


@pytest.mark.parametrize(
    ("cell", "value"),
    [("4.25", 4.25), (3, 3.0), (" -1e-2 ", -0.01), (0.0, 0.0), ("1,5", 1.5), ("1,000.5", 1000.5)],
)
def test_all_number_formats_are_read(cell: Any, value: float) -> None:
    assert parse(cell).gold == value


@pytest.mark.parametrize("cell", ["four", "", None, "nan", "inf", "1,500", "1_000"])
def test_a_cell_that_is_not_a_number_is_an_error_with_its_location(cell: Any) -> None:
    with pytest.raises(DataError, match=r'a\.csv, line 7: .* in column "score" is (not a number|ambiguous)'):
        parse(cell)


def test_equal_numbers_are_an_error() -> None:
    with pytest.raises(DataError, match=r"a\.csv: all 3 rows have the number 2"):
        make_task(TaskConfig(name="regression")).fit(examples(2, 2, 2))


def test_low_above_high_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"task\.low"):
        make_task(TaskConfig(name="regression", low=5, high=0)).fit(examples(1, 2))


def test_the_range_of_the_training_data_is_saved() -> None:
    task = make_task(TaskConfig(name="regression"))
    fitted = task.fit(examples(2.0, 5.0, 12.0))
    assert fitted.labels == ("value",)
    assert fitted.notes == ("numbers from 2 to 12 are scaled to 0 to 1 for training",)
    saved = make_task(TaskConfig(name="regression", **fitted.options.model_dump())).fitted(fitted.labels)
    half = [np.array([0.5], np.float32)]
    assert fitted.decode(half, [], examples(0)[0]) == saved.decode(half, [], examples(0)[0])
    assert saved.decode(half, [], examples(0)[0]) == NumberPrediction(7.0)


def test_a_fitted_task_does_not_change(tiny_weights: Path) -> None:
    task = make_task(TaskConfig(name="regression"))
    fitted = task.fit(examples(0, 4))
    task.fit(examples(100, 200))
    other = examples(-8, 300)
    assert fitted.for_scoring(other) is fitted
    fitted.score([NumberPrediction(1.0), NumberPrediction(2.0)], other)
    sequences = fitted.encode(examples(1, -8), Tokenizer.pretrained(tiny_weights), None)
    assert [s.gold for s in sequences] == [0.25, -2.0]
    assert (fitted.options.low, fitted.options.high) == (0, 4)
    assert (task.options.low, task.options.high) == ("auto", "auto")


def test_the_loss_is_the_summed_squared_error_of_the_scaled_numbers(tiny_weights: Path) -> None:
    fitted = make_task(TaskConfig(name="regression")).fit(examples(0, 4))
    batch = collate(fitted.encode(examples(1, 2, 4), Tokenizer.pretrained(tiny_weights), None))
    total, count = fitted.loss(torch.tensor([[0.5], [0.0], [1.5]]), batch)
    assert (total.item(), count.item()) == (0.25**2 + 0.5**2 + 0.5**2, 3)


def test_scores_equal_those_of_scipy_and_scikit_learn() -> None:
    gold, predicted = [0.0, 1.0, 4.0, 2.5, 2.5], [0.4, 0.9, 3.0, 2.9, 1.0]
    fitted = make_task(TaskConfig(name="regression")).fit(examples(*gold))
    found = fitted.score([NumberPrediction(p) for p in predicted], examples(*gold)).values
    assert found == pytest.approx(
        {
            "pearson": pearsonr(gold, predicted)[0],
            "spearman": spearmanr(gold, predicted)[0],
            "pearson_spearman": (pearsonr(gold, predicted)[0] + spearmanr(gold, predicted)[0]) / 2,
            "mse": mean_squared_error(gold, predicted),
            "rmse": math.sqrt(mean_squared_error(gold, predicted)),
            "mae": mean_absolute_error(gold, predicted),
            "r2": r2_score(gold, predicted),
        }
    )


def test_correlation_with_a_constant_is_undefined_and_not_an_error() -> None:
    fitted = make_task(TaskConfig(name="regression")).fit(examples(1, 2, 3))
    found = fitted.score([NumberPrediction(1.0)] * 3, examples(1, 2, 3)).values
    assert found["pearson"] is None
    assert found["mse"] == pytest.approx(5 / 3)


def test_training_does_not_depend_on_the_unit_of_the_numbers(tiny_weights: Path, tmp_path: Path) -> None:
    """With numbers from 0 to 7 and from 100 to 170, predictions differ only in their unit."""
    settings = {**QUICK, "model.name": str(tiny_weights)}
    runs = [
        train(
            {"train": rows(scale, shift), "validation": rows(scale, shift)}, tmp_path / f"{scale}", settings
        )[0]
        for scale, shift in ((1.0, 0.0), (10.0, 100.0))
    ]
    small, large = (
        [p.value for p in api.predict(run, [{"text": row["text"]} for row in rows()])] for run in runs
    )
    assert large == pytest.approx([100 + 10 * value for value in small], abs=1e-3)
    assert runs[1].scores["pearson"] == pytest.approx(runs[0].scores["pearson"], abs=1e-5)
    assert runs[1].scores["mae"] == pytest.approx(10 * runs[0].scores["mae"], rel=1e-4)


def test_numbers_outside_the_training_range_can_be_evaluated(tiny_weights: Path, tmp_path: Path) -> None:
    run = api.train(rows(), settings={**QUICK, "model.name": str(tiny_weights)}, out=tmp_path / "run")
    found = api.evaluate(run, [{"text": "it was great", "score": 50.0}])
    assert found.scores["mae"] > 30
    rows_of_text = [{"text": "it was great", "score": "1,000"}]
    with pytest.raises(DataError, match=r"line 1: .* is ambiguous: .* Set data\.decimal=point"):
        api.evaluate(run, rows_of_text)
    assert (api.evaluate(run, rows_of_text, settings={"data.decimal": "point"}).scores["mae"] or 0) > 900
