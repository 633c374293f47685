"""Owns the scores of many-labels-per-text classification, as scikit-learn defines them."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, hamming_loss, precision_recall_fscore_support

from bertune.metrics.scores import Scores


def score(
    gold_NC: NDArray[np.bool_],
    probabilities_NC: NDArray[np.float64],
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
    return Scores(values, {"labels": list(labels), "per_class": rows, "threshold": threshold})
