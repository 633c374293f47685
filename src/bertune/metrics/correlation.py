"""Owns the scores of predicted numbers: correlations and errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

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


def details(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, Any]:
    """What a report shows beside the scores: the ranges of both sides."""
    return {
        side: {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
        for side, values in (("gold", gold_N), ("predicted", predicted_N))
    }
