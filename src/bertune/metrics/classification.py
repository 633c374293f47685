"""Metrics for single-label classification, as scikit-learn defines them.

For a label that is neither gold nor predicted, precision, recall and F1 are None and macro averages ignore
it; for a label that is only gold or only predicted they are 0.

Dimensions: N texts, C labels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.confusions import confusion_details, confusion_matrix, mcc, mcc_of
from bertune.metrics.counts import PerClass, per_class_scores, roc_auc
from bertune.metrics.details import baseline, calibration, class_row
from bertune.metrics.scores import Scores

__all__ = ["BATCH", "MOST_BATCHES", "MOST_WITH_ROC_AUC", "confusion_matrix", "mcc", "mcc_of", "score"]

BATCH = 32  # texts per bar of the score-by-batch figure, as in the CoLA tutorial
MOST_BATCHES = 1000  # maximum number of scored batches; the figure becomes a histogram well below that
# ROC AUC sorts all texts once per label: 1000 labels with 10,000 texts take about 2 s.
MOST_WITH_ROC_AUC = 1000
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Predicted:
    """The label predicted for each text, its probability, and the probability of the gold label."""

    predicted_N: IntArray
    confidence_N: FloatArray
    of_gold_N: FloatArray


def score(
    gold_N: IntArray,
    probabilities: Iterable[FloatArray],
    labels: tuple[str, ...],
    positive: int,
    predicted_N: IntArray | None = None,
) -> Scores:
    """All scores of N texts over C classes; `probabilities` [N, C] may be a generator of rows.

    With two classes, `precision`, `recall` and `f1` are those of class `positive`, or None if it is neither
    gold nor predicted; with more classes they are macro averages. The predicted class is `predicted_N`, or
    else the most probable one, the first one in a tie. With more than MOST_WITH_ROC_AUC labels, the rows are
    not kept in memory and `roc_auc` is None.
    """
    if len(labels) <= MOST_WITH_ROC_AUC:
        all_NC, rows_N = np.array(list(probabilities)), np.arange(len(gold_N))
        chosen_N = all_NC.argmax(axis=1) if predicted_N is None else predicted_N
        predicted = _Predicted(chosen_N, all_NC[rows_N, chosen_N], all_NC[rows_N, gold_N])
        return _score(gold_N, predicted, labels, positive, _roc_auc(gold_N, all_NC, positive))
    chosen = (None for _ in gold_N) if predicted_N is None else predicted_N.tolist()
    rows = [
        ((best := int(row.argmax()) if given is None else given), row[best], row[gold])
        for row, gold, given in zip(probabilities, gold_N, chosen, strict=True)
    ]
    best_N, confidence_N, of_gold_N = map(np.array, zip(*rows, strict=True))
    return _score(gold_N, _Predicted(best_N, confidence_N, of_gold_N), labels, positive, None)


def _score(
    gold_N: IntArray, predicted: _Predicted, labels: tuple[str, ...], positive: int, roc_auc: float | None
) -> Scores:
    predicted_N = predicted.predicted_N
    per_class = per_class_scores(gold_N, predicted_N, len(labels))
    values: dict[str, float | None] = {"accuracy": float((gold_N == predicted_N).mean())}
    averages = {"macro": per_class.mean(per_class.is_seen), "weighted": per_class.mean(per_class.support)}
    rows = _class_rows(labels, per_class)
    names = ("precision", "recall", "f1")
    if len(labels) == 2:
        values |= {name: rows[positive][name] for name in names}
    else:
        values |= dict(zip(names, averages["macro"], strict=True))
    for average, triple in averages.items():
        for name, value in zip(names, triple, strict=True):
            values[f"{average}_{name}"] = value
    values["mcc"] = mcc_of(gold_N, predicted_N)
    values["roc_auc"] = roc_auc
    values["log_loss"] = _log_loss(predicted.of_gold_N)
    details = _details(gold_N, predicted_N, labels, rows)
    details["figures"] = [calibration(predicted.confidence_N, gold_N == predicted_N, "texts")]
    return Scores(values, details)


def _log_loss(of_gold_N: FloatArray) -> float:
    """The same as in scikit-learn, which clips probabilities by the machine epsilon."""
    eps = np.finfo(of_gold_N.dtype).eps
    return float(-np.log(np.clip(of_gold_N, eps, 1 - eps)).mean())


def _roc_auc(gold_N: IntArray, probabilities_NC: FloatArray, positive: int) -> float | None:
    num_classes = probabilities_NC.shape[1]
    if len(np.unique(gold_N)) < num_classes:
        return None  # undefined if a class does not occur
    if num_classes == 2:
        return roc_auc(gold_N == positive, probabilities_NC[:, positive])
    return float(np.mean([roc_auc(gold_N == c, probabilities_NC[:, c]) for c in range(num_classes)]))


def _class_rows(labels: tuple[str, ...], per_class: PerClass) -> list[dict[str, Any]]:
    return [
        class_row(label, (float(p), float(r), float(f)) if is_seen else None, int(support))
        for label, p, r, f, support, is_seen in zip(labels, *per_class, strict=True)
    ]


def _details(
    gold_N: IntArray, predicted_N: IntArray, labels: tuple[str, ...], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    counts_C = np.bincount(gold_N, minlength=len(labels))
    majority = int(counts_C.argmax())
    share = float(counts_C[majority] / max(1, len(gold_N)))
    confusions = confusion_details(gold_N, predicted_N, labels)
    return {
        "baseline": baseline(
            "accuracy", share, f"always the most frequent label of this split, “{labels[majority]}”"
        ),
        "labels": confusions.pop("labels"),
        "per_class": rows,
        **confusions,
        "by_batch": _by_batch(gold_N, predicted_N),
    }


def _by_batch(gold_N: IntArray, predicted_N: IntArray) -> dict[str, Any]:
    """The MCC of every batch; beyond MOST_BATCHES, of that many evenly spaced batches, and `num_batches`."""
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
