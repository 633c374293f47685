"""Confusions between labels: a matrix for few labels, a list of the most frequent ones for many.

Dimensions: N items, C labels, P pairs of labels that occur.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import IntArray
from bertune.metrics.scores import divided

# 200 x 200 counts take about 0.6 MB in a manifest, one number per line, and a larger matrix is not readable.
MOST_IN_MATRIX = 200
MOST_CONFUSIONS = 100  # stored if there is no matrix


def confusion_details(gold_N: IntArray, predicted_N: IntArray, labels: Sequence[str]) -> dict[str, Any]:
    """The confusion entries of `Scores.details`.

    These are `labels` and `confusion_matrix` for up to MOST_IN_MATRIX labels, `confusions` beyond.
    """
    num_classes = len(labels)
    if num_classes <= MOST_IN_MATRIX:
        matrix_CC = confusion_matrix(gold_N, predicted_N, num_classes)
        return {"labels": list(labels), "confusion_matrix": matrix_CC.tolist()}
    wrong_N = gold_N != predicted_N
    # One integer per pair; in int64 this works for up to 2**31 labels.
    pairs_P, counts_P = np.unique(gold_N[wrong_N] * num_classes + predicted_N[wrong_N], return_counts=True)
    totals_C = np.bincount(gold_N, minlength=num_classes)
    rows = []
    for at in np.argsort(-counts_P, kind="stable")[:MOST_CONFUSIONS]:
        gold, predicted = divmod(int(pairs_P[at]), num_classes)
        rows.append(
            {
                "gold": labels[gold],
                "predicted": labels[predicted],
                "count": int(counts_P[at]),
                "support": int(totals_C[gold]),
            }
        )
    return {
        "labels": list(labels),
        "confusions": {"most_labels": MOST_IN_MATRIX, "num_pairs": len(pairs_P), "rows": rows},
    }


def confusion_matrix(gold_N: IntArray, predicted_N: IntArray, num_classes: int) -> IntArray:
    """Counts [gold, predicted]."""
    flat = np.bincount(gold_N * num_classes + predicted_N, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def mcc(confusion_CC: IntArray) -> float:
    """Matthews correlation coefficient for any number of classes (Gorodkin 2004); 0 where undefined."""
    return float(mcc_of_counts(np.trace(confusion_CC), confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)))


def mcc_of(gold_N: IntArray, predicted_N: IntArray) -> float:
    """The same from the labels themselves, in memory that grows with N alone."""
    present, index_2N = np.unique(np.concatenate([gold_N, predicted_N]), return_inverse=True)
    gold_C, predicted_C = (
        np.bincount(index_N, minlength=len(present)) for index_N in np.split(index_2N, [len(gold_N)])
    )
    return float(mcc_of_counts((gold_N == predicted_N).sum(), gold_C, predicted_C))


def mcc_of_counts(right: Any, gold_counts_C: NDArray[Any], predicted_counts_C: NDArray[Any]) -> Any:
    """The MCC from the number of correct items and the counts [C] of gold and predicted labels.

    With counts [R, C] and `right` [R], the MCC [R] of R resamples.
    """
    # As floats: squares of counts overflow, and whole numbers below 2**53 stay exact.
    gold_C, predicted_C = gold_counts_C.astype(np.float64), predicted_counts_C.astype(np.float64)
    total = gold_C.sum(axis=-1)
    covariance = right * total - (gold_C * predicted_C).sum(axis=-1)
    spread = (total**2 - (predicted_C**2).sum(axis=-1)) * (total**2 - (gold_C**2).sum(axis=-1))
    return divided(covariance, np.sqrt(np.maximum(spread, 0)))
