"""Regression metrics: correlations and errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import scatter, table

FloatArray = NDArray[np.float64]


def correlations(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Pearson and Spearman correlation and their mean; None if one side is constant."""
    if len(gold_N) < 2 or np.ptp(gold_N) == 0 or np.ptp(predicted_N) == 0:
        return {"pearson": None, "spearman": None, "pearson_spearman": None}
    pearson = _pearson(gold_N, predicted_N)
    spearman = _pearson(average_ranks(gold_N), average_ranks(predicted_N))
    return {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}


def average_ranks(values_N: FloatArray) -> FloatArray:
    """The rank of every value, [N], from 1 for the smallest; equal values share the mean of their ranks."""
    _, position_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[position_N]
    return ranks


def _pearson(first_N: FloatArray, second_N: FloatArray) -> float:
    """The correlation of two arrays that are not constant."""
    r = np.dot(_standardized(first_N), _standardized(second_N))
    return float(np.clip(r, -1, 1))  # rounding can exceed 1


def _standardized(values_N: FloatArray) -> FloatArray:
    """The values with mean 0 and norm 1."""
    centred_N = np.asarray(values_N, np.float64) - np.mean(values_N, dtype=np.float64)
    centred_N = centred_N / np.abs(centred_N).max()  # so that no square overflows or vanishes
    standardized_N: FloatArray = centred_N / np.linalg.norm(centred_N)
    return standardized_N


def errors(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Squared and absolute errors, and the explained variance, which is None for a single text."""
    difference_N = np.asarray(predicted_N, np.float64) - gold_N
    mse = float(np.mean(difference_N**2))
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mae": float(np.mean(np.abs(difference_N))),
        "r2": _explained_variance(gold_N, mse) if len(gold_N) > 1 else None,
    }


def _explained_variance(gold_N: FloatArray, mse: float) -> float:
    """The coefficient of determination; as in scikit-learn, 1 or 0 if all gold values are equal."""
    variance = float(np.mean((gold_N - np.mean(gold_N, dtype=np.float64)) ** 2))
    if variance == 0:
        return float(mse == 0)
    return 1 - mse / variance


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
