"""Owns the scores of predicted numbers: correlations and errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from bertune.metrics.details import scatter, table

FloatArray = NDArray[np.float64]


def correlations(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Pearson and Spearman correlation and their mean; None where one side does not vary."""
    if len(gold_N) < 2 or np.ptp(gold_N) == 0 or np.ptp(predicted_N) == 0:
        return {"pearson": None, "spearman": None, "pearson_spearman": None}
    pearson = float(pearsonr(gold_N, predicted_N)[0])
    spearman = float(spearmanr(gold_N, predicted_N)[0])
    return {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}


def errors(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Squared and absolute errors, and the share of variance explained; that is None of a single number."""
    mse = float(mean_squared_error(gold_N, predicted_N))
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mae": float(mean_absolute_error(gold_N, predicted_N)),
        "r2": float(r2_score(gold_N, predicted_N)) if len(gold_N) > 1 else None,
    }


def details(
    gold_N: FloatArray, predicted_N: FloatArray, axes: tuple[str, str], is_same: bool
) -> dict[str, Any]:
    """What a report shows beside the scores: all points, and the ranges of both sides.

    `axes` names gold and predicted numbers, `is_same` whether they are in one unit.
    """
    rows = [
        [name, *map(float, (v.min(), *np.percentile(v, (25, 50, 75)), v.max(), v.mean(), v.std()))]
        for name, v in zip(axes, (gold_N, predicted_N), strict=True)
    ]
    headings = ["", "least", "25 %", "median", "75 %", "greatest", "mean", "standard deviation"]
    return {
        "tables": [table("Numbers", headings, rows)],
        "figures": [scatter("Gold and predicted", axes, gold_N, predicted_N, is_diagonal=is_same)],
    }
