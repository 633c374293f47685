"""Regression metrics: correlations and errors.

Dimensions: N texts, R resamples, D distinct values.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray
from bertune.metrics.details import scatter, table
from bertune.metrics.scores import divided, unweighted, weighted_mean


def correlations(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    """Pearson and Spearman correlation and their mean; None if one side is constant."""
    return unweighted(lambda weights_RN: correlations_of(gold_N, predicted_N, weights_RN), len(gold_N))


def correlations_of(
    gold_N: FloatArray, predicted_N: FloatArray, weights_RN: FloatArray
) -> dict[str, FloatArray]:
    """The same [R] for weighted texts; NaN where one side is constant."""
    gold_N, predicted_N = np.asarray(gold_N, np.float64), np.asarray(predicted_N, np.float64)
    pearson_R = _pearson(gold_N, predicted_N, weights_RN)
    spearman_R = _pearson(_ranks(gold_N, weights_RN), _ranks(predicted_N, weights_RN), weights_RN)
    is_varied_R = _is_varied(gold_N, weights_RN) & _is_varied(predicted_N, weights_RN)
    both = {"pearson": pearson_R, "spearman": spearman_R, "pearson_spearman": (pearson_R + spearman_R) / 2}
    return {name: np.where(is_varied_R, each_R, np.nan) for name, each_R in both.items()}


def average_ranks(values_N: FloatArray) -> FloatArray:
    """The rank of every value, [N], from 1 for the smallest; equal values share the mean of their ranks."""
    ranks_N: FloatArray = _ranks(values_N, np.ones((1, len(values_N))))[0]
    return ranks_N


def _ranks(values_N: FloatArray, weights_RN: FloatArray) -> FloatArray:
    """The average ranks [R, N] of weighted values: a value of weight 2 takes two ranks."""
    distinct, at_N = np.unique(values_N, return_inverse=True)
    counts_RD = np.array([np.bincount(at_N, weights_N, len(distinct)) for weights_N in weights_RN])
    ranks_RN: FloatArray = (np.cumsum(counts_RD, axis=1) - (counts_RD - 1) / 2)[:, at_N]
    return ranks_RN


def _is_varied(values_N: FloatArray, weights_RN: FloatArray) -> NDArray[np.bool_]:
    """Whether at least two different values have weight, [R]."""
    counts_R = weights_RN > 0
    highest_R = np.where(counts_R, values_N, -np.inf).max(axis=1)
    is_varied_R: NDArray[np.bool_] = highest_R > np.where(counts_R, values_N, np.inf).min(axis=1)
    return is_varied_R


def _pearson(first_RN: FloatArray, second_RN: FloatArray, weights_RN: FloatArray) -> FloatArray:
    """The correlation [R] of two arrays [N] or [R, N]; arbitrary if one of them is constant."""
    product_RN = _standardized(first_RN, weights_RN) * _standardized(second_RN, weights_RN)
    r_R: FloatArray = np.clip((weights_RN * product_RN).sum(axis=1), -1, 1)  # rounding can exceed 1
    return r_R


def _standardized(values_RN: FloatArray, weights_RN: FloatArray) -> FloatArray:
    """The values [R, N] with weighted mean 0 and weighted norm 1."""
    means_R = divided((weights_RN * values_RN).sum(axis=1), weights_RN.sum(axis=1))
    centred_RN = np.where(weights_RN > 0, values_RN - means_R[:, None], 0.0)
    # Scaled first, so that no square overflows or vanishes.
    scaled_RN = divided(centred_RN, np.abs(centred_RN).max(axis=1, keepdims=True))
    norms_R = np.sqrt((weights_RN * scaled_RN**2).sum(axis=1))
    return divided(scaled_RN, norms_R[:, None])


def errors_of(gold_N: FloatArray, predicted_N: FloatArray, weights_RN: FloatArray) -> dict[str, FloatArray]:
    """Squared and absolute errors, and the explained variance, [R] of weighted texts; NaN where undefined."""
    difference_N = np.asarray(predicted_N, np.float64) - gold_N
    mse_R = weighted_mean(weights_RN, difference_N**2)
    return {
        "mse": mse_R,
        "rmse": np.sqrt(mse_R),
        "mae": weighted_mean(weights_RN, np.abs(difference_N)),
        "r2": _explained_variance(np.asarray(gold_N, np.float64), mse_R, weights_RN),
    }


def _explained_variance(gold_N: FloatArray, mse_R: FloatArray, weights_RN: FloatArray) -> FloatArray:
    """The coefficient of determination; as in scikit-learn, 1 or 0 if all gold values are equal."""
    total_R = weights_RN.sum(axis=1)
    means_R = divided((weights_RN * gold_N).sum(axis=1), total_R)
    squares_RN = weights_RN * (gold_N - means_R[:, None]) ** 2
    explained_R = 1 - divided(mse_R, divided(squares_RN.sum(axis=1), total_R))
    r2_R = np.where(_is_varied(gold_N, weights_RN), explained_R, (mse_R == 0).astype(np.float64))
    return np.where(total_R > 1, r2_R, np.nan)


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
    headings = ["", "minimum", "25%", "median", "75%", "maximum", "mean", "standard deviation"]
    return {
        "tables": [table("Distribution", headings, rows)],
        "figures": [scatter("Gold and predicted", axes, gold_N, predicted_N, is_diagonal=is_same)],
    }
