"""Likely label errors by confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating
uncertainty in dataset labels").

The probabilities of a row must come from a model that was not trained on it. A class is confident for a row
if its probability reaches the mean probability of the class among the rows that have this label. The number
of label errors is estimated by the rows whose most probable confident class, and most probable class, are
both another one than the label: the off-diagonal entries of the confident joint. As many rows with the lowest
probability of their label (self-confidence) are likely errors, unless their label is predicted.

For sets of labels, which have a yes or no for each label, the off-diagonal entries themselves are the
candidates (method "C_confident" of the paper). A yes to a rare label nearly always contradicts a model that
has not learned the label well, so a weak model has candidates in a third of the rows. The same applies to the
labels of parts, such as the tags of words, most of which have one and the same label. A candidate of these
two kinds is therefore listed only if it is more likely wrong than right by Bayes' rule, with noise that
depends on the label only (Natarajan et al. 2013, "Learning with noisy labels"): if p is the calibrated
probability of a given yes, and the shares r1 of yes and r0 of no are wrong, the text has the label
with the probability q = (p - r0) / (1 - r0 - r1), the given yes is wrong with r0 (1 - q) / p, and a given no
with r1 q / (1 - p). These rates cannot be estimated with a weak model; `NOISE` assumes as many errors as the
worst of ten benchmarks has. The list is short if the model is weak, and grows as the model improves.

If the predictions are not significantly better than always predicting the most frequent label, nothing is
listed: a model that has learned nothing contradicts most labels.

Labels that are predicted for no row are not judged: a model that has not learned a label would report all of
its rows as errors.

Dimensions: N labelled items, C classes, B items of a block.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray, IntArray
from bertune.metrics.scores import divided

# The probabilities of all classes for some items, [B, C].
Probabilities = Callable[[slice], FloatArray]

# Of the labels that are given, and as many that are not, for each label: QuickDraw has 10.1% errors, and ten
# benchmarks have 3.3% on average (Northcutt, Athalye & Mueller 2021, "Pervasive label errors in test sets
# destabilize machine learning benchmarks").
NOISE = 0.1
_IF = f"it is more likely wrong than right, provided that {NOISE:.0%} of the"
# How the number of likely errors is determined, for the report.
RULES = {
    "one": "The number is estimated by confident learning: labels with the lowest probability are listed.",
    "none": "The labels are not judged, because the predictions are not significantly better than always "
    "predicting the most frequent label.",
    "part": f"A label is listed if confident learning finds it and {_IF} labels of each kind are wrong.",
    "each": f"A given or missing label is listed if confident learning finds it and {_IF} given labels are "
    "wrong and as many are missing.",
}
_CELLS = 2**20  # probabilities in memory at once: 8 MB
_WIDEST, _BINS_PER_UNIT = 28, 50  # logits of 1e-12, and the resolution of the counts
# Rounding must not decide whether a probability reaches the mean of its class; cleanlab uses the same margin.
_ROUNDING = 1e-6
_LEAST_Z = 1.645  # one-sided test at the 5% level


@dataclass(frozen=True)
class JudgedLabels:
    """How well the label of each item agrees with a model that was not trained on it."""

    scores: FloatArray  # [N] probability of the given label
    predicted: IntArray  # [N] the most probable class
    is_error: NDArray[np.bool_]  # [N] whether the label is a likely error
    is_informed: bool  # whether the predictions are better than the most frequent label; if not, no errors


def judge_labels(
    gold_N: IntArray, probabilities: Probabilities, num_classes: int, are_parts: bool = False
) -> JudgedLabels:
    """The scores of labels of which each item has one, and which of them are likely errors.

    With `are_parts`, the items are parts of examples, and only labels that are more likely wrong than right
    are likely errors.
    """
    num = len(gold_N)
    scores_N, predicted_N = np.zeros(num), np.zeros(num, np.int64)
    scale = _Scale()
    for block in _blocks(num, num_classes):
        probabilities_BC = probabilities(block)
        if are_parts:
            scale.add(probabilities_BC, np.arange(num_classes) == gold_N[block, None])
        scores_N[block] = np.take_along_axis(probabilities_BC, gold_N[block, None], axis=1)[:, 0]
        predicted_N[block] = probabilities_BC.argmax(axis=1)
    is_learned_C = np.bincount(predicted_N, minlength=num_classes) > 0
    counts_C = np.bincount(gold_N, minlength=num_classes)
    # A class without items is never confident.
    thresholds_C = divided(np.bincount(gold_N, scores_N, num_classes), counts_C, np.inf)
    num_errors = 0
    for block in _blocks(num, num_classes):
        probabilities_BC = probabilities(block)
        confident_BC = np.where(probabilities_BC >= thresholds_C - _ROUNDING, probabilities_BC, -np.inf)
        num_B = np.isfinite(confident_BC).sum(axis=1)
        # Like cleanlab: of several confident classes, the most probable class counts, confident or not.
        best_B = np.where(num_B > 1, predicted_N[block], confident_BC.argmax(axis=1))
        is_other_B = (best_B != gold_N[block]) & (predicted_N[block] != gold_N[block])
        num_errors += int(((num_B > 0) & is_other_B & is_learned_C[gold_N[block]]).sum())
    is_error_N = np.zeros(num, bool)
    judged_N = np.flatnonzero(is_learned_C[gold_N])
    is_error_N[judged_N[np.argsort(scores_N[judged_N], kind="stable")[:num_errors]]] = True
    is_error_N &= predicted_N != gold_N
    if are_parts:
        given_N = _from_logits(_logits(scores_N) / scale.temperature())
        wrong_no_C = NOISE * counts_C / np.maximum(num - counts_C, 1)
        is_error_N &= _wrong(np.ones(num, bool), given_N, wrong_no_C[gold_N]) > 0.5
    is_informed = are_parts or _is_informed(gold_N, predicted_N)
    return JudgedLabels(scores_N, predicted_N, is_error_N & is_informed, is_informed)


def _is_informed(gold_N: IntArray, predicted_N: IntArray) -> bool:
    """Whether predictions are significantly better than the most frequent label, by a sign test."""
    is_right_N, is_mode_N = predicted_N == gold_N, gold_N == np.bincount(gold_N).argmax()
    better, worse = int((is_right_N & ~is_mode_N).sum()), int((is_mode_N & ~is_right_N).sum())
    return bool(better - worse > _LEAST_Z * np.sqrt(better + worse))


@dataclass(frozen=True)
class JudgedSets:
    """The same for sets of labels, in which each label is an independent yes or no."""

    scores: FloatArray  # [N] the lowest probability of a yes or no that was given
    errors: tuple[IntArray, ...]  # [N] the labels of each item whose yes or no is a likely error


def judge_sets(
    gold: Callable[[slice], NDArray[np.bool_]], probabilities: Probabilities, num: int
) -> JudgedSets:
    """The scores of `num` sets of labels, from whether each label is given and its probability, [B, C]."""
    scores_N = np.zeros(num)
    errors: list[IntArray] = []
    if not num:
        return JudgedSets(scores_N, ())
    num_labels = gold(slice(0, 1)).shape[1]
    sums_2C, counts_2C = np.zeros((2, num_labels)), np.zeros((2, num_labels))
    is_learned_C = np.zeros(num_labels, bool)
    scale = _Scale()
    for block in _blocks(num, num_labels):
        given_BC, yes_BC = gold(block), probabilities(block)
        own_BC = np.where(given_BC, yes_BC, 1 - yes_BC)
        is_learned_C |= (yes_BC > 0.5).any(axis=0)
        scores_N[block] = own_BC.min(axis=1)
        scale.add(yes_BC, given_BC)
        for side, is_side_BC in enumerate((~given_BC, given_BC)):
            sums_2C[side] += (own_BC * is_side_BC).sum(axis=0)
            counts_2C[side] += is_side_BC.sum(axis=0)
    thresholds_2C = divided(sums_2C, counts_2C, np.inf) - _ROUNDING
    wrong_no_C = NOISE * counts_2C[1] / np.maximum(counts_2C[0], 1)
    temperature = scale.temperature()
    for block in _blocks(num, num_labels):
        given_BC, yes_BC = gold(block), probabilities(block)
        other_BC = np.where(given_BC, 1 - yes_BC, yes_BC)
        least_BC = np.where(given_BC, thresholds_2C[0], thresholds_2C[1])
        is_candidate_BC = (other_BC >= least_BC) & (other_BC > 0.5) & is_learned_C
        yes_BC = _from_logits(_logits(yes_BC) / temperature)
        is_error_BC = is_candidate_BC & (_wrong(given_BC, yes_BC, wrong_no_C) > 0.5)
        errors += [np.flatnonzero(is_error_C) for is_error_C in is_error_BC]
    return JudgedSets(scores_N, tuple(errors))


def _wrong(given_BC: NDArray[np.bool_], yes_BC: FloatArray, wrong_no_C: FloatArray) -> FloatArray:
    """The probability that each yes or no is wrong; `wrong_no_C` is the share of yes where no is right."""
    has_BC = np.clip((yes_BC - wrong_no_C) / np.maximum(1 - NOISE - wrong_no_C, _ROUNDING), 0, 1)
    of_yes_BC = divided(wrong_no_C * (1 - has_BC), yes_BC, 1.0)
    of_no_BC = divided(NOISE * has_BC, 1 - yes_BC, 1.0)
    found: FloatArray = np.where(given_BC, of_yes_BC, of_no_BC)
    return found


class _Scale:
    """Temperature scaling of all yes and no together (Guo et al. 2017), from counts of their logits.

    The given labels are those that the probabilities are about, so this needs no other rows; one number is
    fitted to all rows and labels.
    """

    def __init__(self) -> None:
        self._edges = np.linspace(-_WIDEST, _WIDEST, 2 * _WIDEST * _BINS_PER_UNIT + 1)
        self._counts_2B = np.zeros((2, len(self._edges) - 1))

    def add(self, yes_BC: FloatArray, given_BC: NDArray[np.bool_]) -> None:
        """Count the logits of a block."""
        logits_BC = _logits(yes_BC)
        for side, is_side_BC in enumerate((~given_BC, given_BC)):
            self._counts_2B[side] += np.histogram(logits_BC[is_side_BC], self._edges)[0]

    def temperature(self) -> float:
        """The temperature with the lowest log loss, from 0.05 to 20."""
        logits_B = (self._edges[1:] + self._edges[:-1]) / 2
        low, high = np.log(0.05), np.log(20)
        for _ in range(50):  # the slope of the log loss increases with the inverse temperature
            middle = (low + high) / 2
            chance_B = _from_logits(logits_B / np.exp(middle))
            slope = (logits_B * (chance_B * self._counts_2B.sum(axis=0) - self._counts_2B[1])).sum()
            low, high = (low, middle) if slope < 0 else (middle, high)
        return float(np.exp((low + high) / 2))


def _logits(yes: FloatArray) -> FloatArray:
    """The logits of probabilities, limited so that they are finite."""
    inside = np.clip(yes, 1e-12, 1 - 1e-12)
    found: FloatArray = np.log(inside) - np.log1p(-inside)
    return found


def _from_logits(logits: FloatArray) -> FloatArray:
    chances: FloatArray = 1 / (1 + np.exp(-logits))  # at most exp(28 / 0.05), which is finite
    return chances


def ranked(scores_N: FloatArray, is_error_N: NDArray[np.bool_]) -> IntArray:
    """The positions of all items: likely errors first, then by score, the lowest first."""
    return np.lexsort((scores_N, ~is_error_N))


def _blocks(num: int, num_classes: int) -> Iterator[slice]:
    size = max(1, _CELLS // max(1, num_classes))
    return (slice(start, start + size) for start in range(0, num, size))
