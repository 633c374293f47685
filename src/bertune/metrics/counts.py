"""Precision, recall, F1 and ROC AUC in NumPy.

The definitions are scikit-learn's, and the tests compare every number with it. bertune does not use
scikit-learn itself: it would have to be installed for every evaluation, and importing it takes longer than
scoring a validation split hundreds of times.

Dimensions: N texts, C classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class PerClass(NamedTuple):
    """Scores of each class, [C]. A ratio of nothing to nothing is 0."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: IntArray  # gold occurrences
    is_seen: NDArray[np.bool_]  # gold or predicted at least once

    def mean(self, weights_C: IntArray | NDArray[np.bool_]) -> tuple[float, float, float]:
        """Precision, recall and F1 averaged over the classes with these weights, which must not all be 0."""
        total = float(weights_C.sum())
        precision, recall, f1 = (float(score_C @ weights_C) / total for score_C in self[:3])
        return precision, recall, f1


def per_class_scores(gold_N: IntArray, predicted_N: IntArray, num_classes: int) -> PerClass:
    """Precision, recall and F1 of every class, from the numbers of the gold and predicted classes."""
    support_C = np.bincount(gold_N, minlength=num_classes)
    predicted_C = np.bincount(predicted_N, minlength=num_classes)
    correct_C = np.bincount(gold_N[gold_N == predicted_N], minlength=num_classes)
    return PerClass(
        precision=correct_C / np.maximum(predicted_C, 1),
        recall=correct_C / np.maximum(support_C, 1),
        f1=2 * correct_C / np.maximum(predicted_C + support_C, 1),
        support=support_C,
        is_seen=(predicted_C + support_C) > 0,
    )


def roc_auc(is_positive_N: NDArray[np.bool_], scores_N: FloatArray) -> float:
    """The probability that a positive scores higher than a negative, ties counting half.

    Both kinds must occur. The sum of the positives' mean ranks is the Mann-Whitney U statistic.
    """
    _, rank_N, counts = np.unique(scores_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank_N = (last - (counts - 1) / 2)[rank_N]
    num_positive = int(is_positive_N.sum())
    num_negative = len(is_positive_N) - num_positive
    above = mean_rank_N[is_positive_N].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))
