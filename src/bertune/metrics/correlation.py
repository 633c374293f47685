"""Regression metrics: correlations and errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import scatter, table

FloatArray = NDArray[np.float64]


def correlations(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Pearson and Spearman correlation and their mean; None if one side is constant."""
    from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]  # 1 s

    if len(gold_N) < 2 or np.ptp(gold_N) == 0 or np.ptp(predicted_N) == 0:
        return {"pearson": None, "spearman": None, "pearson_spearman": None}
    pearson = float(pearsonr(gold_N, predicted_N)[0])
    spearman = float(spearmanr(gold_N, predicted_N)[0])
    return {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}


def errors(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Squared and absolute errors, and the explained variance, which is None for a single text."""
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score  # 2 s

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
    """A scatter plot and the quantiles of gold and predicted values, for the report.

    `axes` are the names of gold and predicted values; `is_same` means that both have the same unit.
    """
    rows = [
        [name, *map(float, (v.min(), *np.percentile(v, (25, 50, 75)), v.max(), v.mean(), v.std()))]
        for name, v in zip(axes, (gold_N, predicted_N), strict=True)
    ]
    headings = ["", "minimum", "25 %", "median", "75 %", "maximum", "mean", "standard deviation"]
    return {
        "tables": [table("Distribution", headings, rows)],
        "figures": [scatter("Gold and predicted", axes, gold_N, predicted_N, is_diagonal=is_same)],
    }
