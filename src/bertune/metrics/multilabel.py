"""Owns the scores of many-labels-per-text classification, as scikit-learn defines them."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, hamming_loss, precision_recall_fscore_support

from bertune.metrics.details import calibration, curve, table
from bertune.metrics.scores import Scores

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_STEPS = 100  # of the thresholds tried


def score(
    gold_NC: BoolArray,
    probabilities_NC: FloatArray,
    labels: tuple[str, ...],
    threshold: float,
) -> Scores:
    """Every score of N texts over C labels, one that reaches the threshold being predicted.

    `map` is the mean over labels that occur of the area under precision and recall.
    """
    predicted_NC = probabilities_NC >= threshold
    values: dict[str, float | None] = {}
    for average in ("micro", "macro", "weighted", "samples"):
        triple = precision_recall_fscore_support(gold_NC, predicted_NC, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), triple[:3], strict=True):
            values[f"{average}_{name}"] = float(value)
    values["subset_accuracy"] = float((gold_NC == predicted_NC).all(axis=1).mean())
    values["hamming_loss"] = float(hamming_loss(gold_NC, predicted_NC))
    occurring = gold_NC.any(axis=0)
    values["map"] = None
    if occurring.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            precisions = average_precision_score(
                gold_NC[:, occurring], probabilities_NC[:, occurring], average=None
            )
        values["map"] = float(np.mean(precisions))
    per_class = precision_recall_fscore_support(gold_NC, predicted_NC, zero_division=0)
    rows = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *per_class, strict=True)
    ]
    details = {
        "labels": list(labels),
        "per_class": rows,
        "threshold": threshold,
        "tables": [_by_number(gold_NC, predicted_NC)],
        "figures": [
            _by_threshold(gold_NC, probabilities_NC, threshold),
            _calibration(gold_NC, probabilities_NC),
        ],
    }
    return Scores(values, details)


def _by_number(gold_NC: BoolArray, predicted_NC: BoolArray) -> dict[str, Any]:
    gold_N, found_N = gold_NC.sum(axis=1), predicted_NC.sum(axis=1)
    right_N = (gold_NC == predicted_NC).all(axis=1)
    rows = [
        [
            str(number),
            int((gold_N == number).sum()),
            int((found_N == number).sum()),
            _share(right_N, gold_N == number),
        ]
        for number in sorted({*gold_N.tolist(), *found_N.tolist()})
    ]
    headings = ["labels", "texts with so many", "predicted so many", "of the first, all right"]
    return table("Labels in a text", headings, rows)


def _share(right_N: BoolArray, chosen_N: BoolArray) -> float | None:
    return float(right_N[chosen_N].mean()) if chosen_N.any() else None


def _by_threshold(gold_NC: BoolArray, probabilities_NC: FloatArray, threshold: float) -> dict[str, Any]:
    """Micro F1, precision and recall at every hundredth."""
    edges = np.linspace(0, 1, _STEPS + 1)
    found_T, right_T = (
        np.histogram(p, edges)[0][::-1].cumsum()[::-1] for p in (probabilities_NC, probabilities_NC[gold_NC])
    )
    there = max(1, int(gold_NC.sum()))
    some_T = found_T > 0  # of nothing there is no precision
    series = {
        "micro F1": (edges[:-1], 2 * right_T / (found_T + there)),
        "precision": (edges[:-1][some_T], right_T[some_T] / found_T[some_T]),
        "recall": (edges[:-1], right_T / there),
    }
    return curve("Scores by threshold", ("task.threshold", "score"), series, {"as set": threshold})


def _calibration(gold_NC: BoolArray, probabilities_NC: FloatArray) -> dict[str, Any]:
    axes = ["probability of a label", "share of texts that have it"]
    return calibration(probabilities_NC.ravel(), gold_NC.ravel(), "labels") | {"axes": axes}
