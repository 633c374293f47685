"""Metrics for single-label classification, as scikit-learn defines them.

For a label that is neither gold nor predicted, precision, recall and F1 are None and macro averages ignore
it; for a label that is only gold or only predicted they are 0.

Dimensions: N texts, C labels, S labels that are gold or predicted, R resamples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bertune.metrics.arrays import FloatArray, IntArray
from bertune.metrics.confusions import confusion_details, confusion_matrix, mcc, mcc_of, mcc_of_counts
from bertune.metrics.counts import Occurrences, PerClass, class_scores, per_class_scores, roc_auc
from bertune.metrics.details import baseline, calibration, class_row
from bertune.metrics.scores import Scores, weighted_mean

__all__ = ["BATCH", "MOST_BATCHES", "MOST_WITH_ROC_AUC", "confusion_matrix", "mcc", "mcc_of", "score"]

BATCH = 32  # texts per bar of the score-by-batch figure, as in the CoLA tutorial
MOST_BATCHES = 1000  # maximum number of scored batches; the figure becomes a histogram well below that
# ROC AUC sorts all texts once per label: 1000 labels with 10,000 texts take about 2 s.
MOST_WITH_ROC_AUC = 1000


@dataclass(frozen=True, slots=True)
class _Predicted:
    """The label predicted for each text, its probability, and the probability of the gold label.

    `all_NC` are all probabilities, or None if there are too many labels to keep them.
    """

    predicted_N: IntArray
    confidence_N: FloatArray
    of_gold_N: FloatArray
    all_NC: FloatArray | None = None


def score(
    gold_N: IntArray,
    probabilities: Iterable[FloatArray],
    labels: tuple[str, ...],
    positive: int,
    predicted_N: IntArray | None = None,
) -> Scores:
    """All scores of N texts over C classes; `probabilities` [N, C] may be a generator of rows.

    With two classes, `precision`, `recall` and `f1` refer to class `positive`, or are None if it is neither
    gold nor predicted; with more classes they are macro averages. The predicted class is `predicted_N`, or
    else the most probable one, the first one in a tie. With more than MOST_WITH_ROC_AUC labels, the rows are
    not kept in memory and `roc_auc` is None.
    """
    if len(labels) <= MOST_WITH_ROC_AUC:
        all_NC, rows_N = np.array(list(probabilities)), np.arange(len(gold_N))
        chosen_N = all_NC.argmax(axis=1) if predicted_N is None else predicted_N
        predicted = _Predicted(chosen_N, all_NC[rows_N, chosen_N], all_NC[rows_N, gold_N], all_NC)
        return _score(gold_N, predicted, labels, positive)
    chosen = (None for _ in gold_N) if predicted_N is None else predicted_N.tolist()
    rows = [
        ((best := int(row.argmax()) if given is None else given), row[best], row[gold])
        for row, gold, given in zip(probabilities, gold_N, chosen, strict=True)
    ]
    best_N, confidence_N, of_gold_N = map(np.array, zip(*rows, strict=True))
    return _score(gold_N, _Predicted(best_N, confidence_N, of_gold_N), labels, positive)


def _score(gold_N: IntArray, predicted: _Predicted, labels: tuple[str, ...], positive: int) -> Scores:
    predicted_N = predicted.predicted_N
    rows = _class_rows(labels, per_class_scores(gold_N, predicted_N, len(labels)))
    details = _details(gold_N, predicted_N, labels, rows)
    details["figures"] = [calibration(predicted.confidence_N, gold_N == predicted_N, "texts")]
    is_ranked = predicted.all_NC is not None
    num_sorted = 0 if not is_ranked else 1 if len(labels) == 2 else len(labels)
    weighted = partial(_weighted, gold_N, predicted, len(labels), positive)
    return Scores.of(weighted, len(gold_N), details, cells=len(gold_N) * (1 + num_sorted))


def _weighted(
    gold_N: IntArray, predicted: _Predicted, num_labels: int, positive: int, weights_RN: FloatArray
) -> dict[str, FloatArray]:
    """All scores [R] of weighted texts; NaN where undefined."""
    # Only labels that occur, because there may be more labels than texts.
    present_S, both = np.unique(np.concatenate([gold_N, predicted.predicted_N]), return_inverse=True)
    gold_S, predicted_S = np.split(both, 2)
    texts_N, is_right_N = np.arange(len(gold_N)), gold_S == predicted_S
    pairs = ((texts_N[is_right_N], gold_S[is_right_N]), (texts_N, predicted_S), (texts_N, gold_S))
    correct_RS, predicted_RS, support_RS = (
        Occurrences(text_P, class_P, len(present_S)).counts(weights_RN) for text_P, class_P in pairs
    )
    per_class = class_scores(correct_RS, predicted_RS, support_RS)
    values = {"accuracy": weighted_mean(weights_RN, is_right_N.astype(np.float64))}
    averages = {"macro": per_class.mean(per_class.is_seen), "weighted": per_class.mean(per_class.support)}
    names = ("precision", "recall", "f1")
    values |= dict(zip(names, averages["macro"], strict=True))
    if num_labels == 2:
        values |= {name: np.full(len(weights_RN), np.nan) for name in names}
        for at in np.flatnonzero(present_S == positive):
            is_seen_R = per_class.is_seen[:, at]
            scores = (np.where(is_seen_R, each_RS[:, at], np.nan) for each_RS in per_class[:3])
            values |= dict(zip(names, scores, strict=True))
    for average, triple in averages.items():
        values |= {f"{average}_{name}": each_R for name, each_R in zip(names, triple, strict=True)}
    values["mcc"] = mcc_of_counts(correct_RS.sum(axis=1), support_RS, predicted_RS)
    values["roc_auc"] = _roc_auc(gold_N, predicted.all_NC, positive, weights_RN)
    values["log_loss"] = weighted_mean(weights_RN, _log_losses(predicted.of_gold_N))
    return values


def _log_losses(of_gold_N: FloatArray) -> FloatArray:
    """The loss of each text, as in scikit-learn, which clips probabilities by the machine epsilon."""
    eps = np.finfo(of_gold_N.dtype).eps
    losses_N: FloatArray = -np.log(np.clip(of_gold_N, eps, 1 - eps))
    return losses_N


def _roc_auc(
    gold_N: IntArray, all_NC: FloatArray | None, positive: int, weights_RN: FloatArray
) -> FloatArray:
    """The area under the ROC curve [R], the mean over all labels if there are more than two.

    NaN, as undefined, if a label does not occur.
    """
    num_classes = 0 if all_NC is None else all_NC.shape[1]
    if all_NC is None or len(np.unique(gold_N)) < num_classes:
        return np.full(len(weights_RN), np.nan)
    chosen = [positive] if num_classes == 2 else range(num_classes)
    areas = (roc_auc(gold_N == c, all_NC[:, c], weights_RN) for c in chosen)
    total_R: FloatArray = sum(areas, start=np.zeros(len(weights_RN)))
    return total_R / len(chosen)


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
