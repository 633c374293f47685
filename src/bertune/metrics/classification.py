"""Scores of one-label-per-text classification, as scikit-learn defines them.

Dimensions: N texts, C labels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from bertune.metrics.confusions import confusion_details, confusion_matrix, mcc, mcc_of
from bertune.metrics.details import baseline, calibration
from bertune.metrics.scores import Scores

__all__ = ["BATCH", "MOST_BATCHES", "MOST_WITH_ROC_AUC", "confusion_matrix", "mcc", "mcc_of", "score"]

BATCH = 32  # texts per bar of the score-by-batch figure, as in the CoLA tutorial
MOST_BATCHES = 1000  # scored one by one; the figure is a histogram long before
# Each label's ROC AUC sorts all texts: a thousand labels of 10,000 texts take some 2 s.
MOST_WITH_ROC_AUC = 1000
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Said:
    """The label predicted for each text, its probability, and the probability of the gold label."""

    predicted_N: IntArray
    confidence_N: FloatArray
    of_gold_N: FloatArray


def score(
    gold_N: IntArray, probabilities: Iterable[FloatArray], labels: tuple[str, ...], positive: int
) -> Scores:
    """Every score of N texts over C classes; `probabilities` [N, C] may come row by row.

    `precision`, `recall` and `f1` are those of class `positive` when there are two classes, and macro
    averages otherwise. The predicted class is the most probable, the first of equals. Of more than
    MOST_WITH_ROC_AUC labels the rows are not held, and `roc_auc` is None.
    """
    if len(labels) <= MOST_WITH_ROC_AUC:
        held_NC, every = np.array(list(probabilities)), np.arange(len(gold_N))
        said = _Said(held_NC.argmax(axis=1), held_NC.max(axis=1), held_NC[every, gold_N])
        return _score(gold_N, said, labels, positive, _roc_auc(gold_N, held_NC, positive))
    rows = [(row.argmax(), row.max(), row[gold]) for row, gold in zip(probabilities, gold_N, strict=True)]
    predicted_N, confidence_N, of_gold_N = map(np.array, zip(*rows, strict=True))
    return _score(gold_N, _Said(predicted_N, confidence_N, of_gold_N), labels, positive, None)


def _score(
    gold_N: IntArray, said: _Said, labels: tuple[str, ...], positive: int, roc_auc: float | None
) -> Scores:
    predicted_N, classes = said.predicted_N, np.arange(len(labels))
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
    values["mcc"] = mcc_of(gold_N, predicted_N)
    values["roc_auc"] = roc_auc
    values["log_loss"] = _log_loss(said.of_gold_N)
    details = _details(gold_N, predicted_N, labels, per_class)
    details["figures"] = [calibration(said.confidence_N, gold_N == predicted_N, "texts")]
    return Scores(values, details)


def _log_loss(of_gold_N: FloatArray) -> float:
    """As scikit-learn's, which clips probabilities to what a float can tell from 0 and 1."""
    least = np.finfo(of_gold_N.dtype).eps
    return float(-np.log(np.clip(of_gold_N, least, 1 - least)).mean())


def _roc_auc(gold_N: IntArray, probabilities_NC: FloatArray, positive: int) -> float | None:
    num_classes = probabilities_NC.shape[1]
    if len(np.unique(gold_N)) < num_classes:
        return None  # undefined: some class does not occur
    if num_classes == 2:
        return float(roc_auc_score(gold_N == positive, probabilities_NC[:, positive]))
    return float(np.mean([roc_auc_score(gold_N == c, probabilities_NC[:, c]) for c in range(num_classes)]))


def _details(
    gold_N: IntArray, predicted_N: IntArray, labels: tuple[str, ...], per_class: Any
) -> dict[str, Any]:
    rows = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *per_class, strict=True)
    ]
    counts_C = np.bincount(gold_N, minlength=len(labels))
    commonest = int(counts_C.argmax())
    share = float(counts_C[commonest] / max(1, len(gold_N)))
    confusions = confusion_details(gold_N, predicted_N, labels)
    return {
        "baseline": baseline("accuracy", share, f"always the commonest label, “{labels[commonest]}”"),
        "labels": confusions.pop("labels"),
        "per_class": rows,
        **confusions,
        "by_batch": _by_batch(gold_N, predicted_N),
    }


def _by_batch(gold_N: IntArray, predicted_N: IntArray) -> dict[str, Any]:
    """The score of every batch; of more than MOST_BATCHES, of so many evenly from all, and `num_batches`."""
    starts = np.arange(0, len(gold_N), BATCH)
    num_batches = {"num_batches": len(starts)} if len(starts) > MOST_BATCHES else {}
    if num_batches:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_BATCHES).round().astype(int)]
    return {
        "score": "mcc",
        "batch_size": BATCH,
        "values": [mcc_of(gold_N[i : i + BATCH], predicted_N[i : i + BATCH]) for i in starts],
        "total": mcc_of(gold_N, predicted_N),
        **num_batches,
    }
