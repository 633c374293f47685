"""Precision, recall, F1, ROC AUC and average precision in NumPy.

The definitions are scikit-learn's, and the tests compare every number with it. bertune does not use
scikit-learn itself: it would have to be installed for every evaluation, and importing it takes longer than
scoring a validation split hundreds of times.

Dimensions: N texts, C classes, R resamples, P occurrences of a class in a text, or
positive texts.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray, IntArray
from bertune.metrics.scores import divided


@dataclass(frozen=True)
class Occurrences:
    """The classes that occur in texts, as pairs of a text and a class."""

    text_P: IntArray
    class_P: IntArray
    num_classes: int

    @classmethod
    def of(cls, pairs: list[tuple[int, int]], num_classes: int) -> Self:
        """From pairs of the index of a text and the index of a class."""
        text_P, class_P = np.array(pairs, np.int64).reshape(-1, 2).T
        return cls(text_P, class_P, num_classes)

    def counts(self, weights_RN: FloatArray) -> FloatArray:
        """The weighted occurrences of each class, [R, C]."""
        each = [np.bincount(self.class_P, w_N[self.text_P], self.num_classes) for w_N in weights_RN]
        return np.array(each, np.float64).reshape(len(weights_RN), self.num_classes)


class PerClass(NamedTuple):
    """Scores of each class, [C] or [R, C]. 0 divided by 0 counts as 0."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: NDArray[Any]  # gold occurrences
    is_seen: NDArray[np.bool_]  # gold or predicted at least once

    def mean(self, weights_C: NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Precision, recall and F1, each averaged over the classes with these weights, [C] or [R, C].

        0 if all weights are 0.
        """
        total = weights_C.sum(axis=-1)
        precision, recall, f1 = (divided((each_C * weights_C).sum(axis=-1), total) for each_C in self[:3])
        return precision, recall, f1


def ratios(correct: Any, predicted: Any, gold: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 from counts of any shape; 0 where undefined."""
    return divided(correct, predicted), divided(correct, gold), divided(2.0 * correct, predicted + gold)


def class_scores(correct_C: NDArray[Any], predicted_C: NDArray[Any], support_C: NDArray[Any]) -> PerClass:
    """Precision, recall and F1 of every class, from counts [C] or [R, C]."""
    return PerClass(*ratios(correct_C, predicted_C, support_C), support_C, (predicted_C + support_C) > 0)


def per_class_scores(gold_N: IntArray, predicted_N: IntArray, num_classes: int) -> PerClass:
    """Precision, recall and F1 of every class, from the numbers of the gold and predicted classes."""
    support_C = np.bincount(gold_N, minlength=num_classes)
    predicted_C = np.bincount(predicted_N, minlength=num_classes)
    correct_C = np.bincount(gold_N[gold_N == predicted_N], minlength=num_classes)
    return class_scores(correct_C, predicted_C, support_C)


def roc_auc(
    is_positive_N: NDArray[np.bool_], scores_N: FloatArray, weights_RN: FloatArray | None = None
) -> FloatArray:
    """The probability [R] that a positive scores higher than a negative, ties counting half.

    NaN where only one kind has weight. Without weights, all texts count once and R is 1.
    """
    weights_NR = _transposed(weights_RN, len(scores_N))
    negatives = np.flatnonzero(~is_positive_N)
    negatives = negatives[np.argsort(scores_N[negatives], kind="stable")]
    below = cumulative(weights_NR[negatives])  # the weight of the lowest negatives, by their number
    sorted_scores, of_positives = scores_N[negatives], scores_N[is_positive_N]
    weights_PR = weights_NR[is_positive_N]
    lower, not_higher = (np.searchsorted(sorted_scores, of_positives, side) for side in ("left", "right"))
    above_R = (weights_PR * (below[lower] + below[not_higher])).sum(axis=0) / 2
    return divided(above_R, weights_PR.sum(axis=0) * below[-1], np.nan)


def average_precision(
    gold_N: NDArray[np.bool_], scores_N: FloatArray, weights_RN: FloatArray | None = None
) -> FloatArray:
    """The step-wise area [R] under the precision-recall curve, as scikit-learn's average_precision_score.

    It is the mean, over the positives, of the precision among the texts that score at least as high. NaN
    where no positive has weight. Without weights, all texts count once and R is 1.
    """
    weights_NR = _transposed(weights_RN, len(scores_N))
    order_N = np.argsort(-scores_N, kind="stable")
    positives = order_N[gold_N[order_N]]
    weights_PR = weights_NR[positives]
    of_positives = -scores_N[positives]  # ascending
    above, all_above = (
        cumulative(weights)[np.searchsorted(ascending, of_positives, "right")]
        for weights, ascending in (
            (weights_PR, of_positives),
            (weights_NR[order_N], -scores_N[order_N]),
        )
    )
    return divided((weights_PR * divided(above, all_above)).sum(axis=0), weights_PR.sum(axis=0), np.nan)


def cumulative(weights_NR: FloatArray) -> FloatArray:
    """The total weight [N + 1, R] of the first 0 to N rows."""
    total = np.zeros((len(weights_NR) + 1, weights_NR.shape[1]))
    np.cumsum(weights_NR, axis=0, out=total[1:])
    return total


def _transposed(weights_RN: FloatArray | None, num_texts: int) -> FloatArray:
    """Weights [N, R] whose rows are contiguous, so that sums over texts are vectorized over resamples."""
    return np.ones((num_texts, 1)) if weights_RN is None else np.ascontiguousarray(weights_RN.T)
