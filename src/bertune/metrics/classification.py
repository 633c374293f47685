"""Owns the scores of one-label-per-text classification, as scikit-learn defines them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score

from bertune.metrics.details import baseline, calibration
from bertune.metrics.scores import Scores

BATCH = 32  # texts per bar of the score-by-batch figure, as in the CoLA tutorial
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def score(gold_N: IntArray, probabilities_NC: FloatArray, labels: tuple[str, ...], positive: int) -> Scores:
    """Every score of N texts over C classes.

    `precision`, `recall` and `f1` are those of class `positive` when there are two classes, and macro
    averages otherwise. The predicted class is the most probable, the first of equals.
    """
    predicted_N = probabilities_NC.argmax(axis=1)
    classes = np.arange(len(labels))
    confusion_CC = confusion_matrix(gold_N, predicted_N, len(labels))
    per_class = precision_recall_fscore_support(gold_N, predicted_N, labels=classes, zero_division=0)
    values: dict[str, float | None] = {"accuracy": float((gold_N == predicted_N).mean())}
    averages = {
        average: precision_recall_fscore_support(
            gold_N, predicted_N, labels=classes, average=average, zero_division=0
        )
        for average in ("macro", "weighted")
    }
    main = [column[positive] for column in per_class] if len(labels) == 2 else averages["macro"]
    values |= dict(zip(("precision", "recall", "f1"), map(float, main[:3]), strict=True))
    for average, triple in averages.items():
        for name, value in zip(("precision", "recall", "f1"), triple[:3], strict=True):
            values[f"{average}_{name}"] = float(value)
    values["mcc"] = mcc(confusion_CC)
    values["roc_auc"] = _roc_auc(gold_N, probabilities_NC, positive)
    values["log_loss"] = float(log_loss(gold_N, probabilities_NC, labels=classes))
    details = _details(gold_N, predicted_N, labels, per_class, confusion_CC)
    details["figures"] = [calibration(probabilities_NC.max(axis=1), gold_N == predicted_N, "texts")]
    return Scores(values, details)


def confusion_matrix(gold_N: IntArray, predicted_N: IntArray, num_classes: int) -> IntArray:
    """Counts [gold, predicted]."""
    flat = np.bincount(gold_N * num_classes + predicted_N, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def mcc(confusion_CC: IntArray) -> float:
    """Matthews correlation coefficient for any number of classes (Gorodkin 2004); 0 where undefined."""
    counts = confusion_CC.astype(np.float64)
    gold_C, predicted_C, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    covariance = np.trace(counts) * total - gold_C @ predicted_C
    spread = (total**2 - predicted_C @ predicted_C) * (total**2 - gold_C @ gold_C)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def _roc_auc(gold_N: IntArray, probabilities_NC: FloatArray, positive: int) -> float | None:
    num_classes = probabilities_NC.shape[1]
    if len(np.unique(gold_N)) < num_classes:
        return None  # undefined: some class does not occur
    if num_classes == 2:
        return float(roc_auc_score(gold_N == positive, probabilities_NC[:, positive]))
    one_hot_NC = np.eye(num_classes)[gold_N]
    return float(roc_auc_score(one_hot_NC, probabilities_NC, average="macro"))


def _details(
    gold_N: IntArray,
    predicted_N: IntArray,
    labels: tuple[str, ...],
    per_class: Any,
    confusion_CC: IntArray,
) -> dict[str, Any]:
    rows = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *per_class, strict=True)
    ]
    by_batch = [
        mcc(confusion_matrix(gold_N[i : i + BATCH], predicted_N[i : i + BATCH], len(labels)))
        for i in range(0, len(gold_N), BATCH)
    ]
    commonest = int(confusion_CC.sum(axis=1).argmax())
    share = float(confusion_CC[commonest].sum() / max(1, confusion_CC.sum()))
    return {
        "baseline": baseline("accuracy", share, f"always the commonest label, “{labels[commonest]}”"),
        "labels": list(labels),
        "per_class": rows,
        "confusion_matrix": confusion_CC.tolist(),
        "by_batch": {
            "score": "mcc",
            "batch_size": BATCH,
            "values": by_batch,
            "total": mcc(confusion_CC),
        },
    }
