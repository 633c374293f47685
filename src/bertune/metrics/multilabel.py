"""Metrics for multi-label classification, as scikit-learn defines them.

For a label that is neither gold nor predicted in any text, precision, recall and F1 are None and macro
averages ignore it; scikit-learn does the same if `labels` has only labels that occur.

Dimensions: N texts, C labels, B texts or labels in a block, T thresholds, R resamples. Rows are read in
blocks of texts, and again in blocks of labels, so that no N x C array is needed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bertune.metrics.arrays import BoolArray, FloatArray, IntArray
from bertune.metrics.counts import Occurrences, average_precision, class_scores, ratios
from bertune.metrics.details import BINS, bin_sums, calibration_of, class_row, curve, table
from bertune.metrics.scores import Scores, divided, weighted_mean

_STEPS = 100  # number of thresholds in the score-by-threshold curve
_CELLS = 2**22  # probabilities in memory at once: 32 MB
_EDGES = np.linspace(0, 1, _STEPS + 1)


@dataclass(frozen=True)
class Judged:
    """The gold labels and the predicted probabilities of N texts.

    `probabilities(texts, labels)` returns the block [.., ..] for two slices.
    """

    gold: Sequence[IntArray]  # the label indices of each text
    num_labels: int
    probabilities: Callable[[slice, slice], FloatArray]
    predicted: Sequence[IntArray] | None = None  # the predicted label indices of each text, if they are known

    def predicted_in(
        self, texts: slice, probabilities_BC: FloatArray, threshold: float | FloatArray
    ) -> BoolArray:
        """The predicted labels of some texts [B, C]: those that are known, or that reach the threshold."""
        return (
            probabilities_BC >= threshold
            if self.predicted is None
            else _has_labels(self.predicted[texts], self.num_labels)
        )

    def by_texts(self) -> Iterator[tuple[slice, BoolArray, FloatArray]]:
        """Blocks of texts, with gold labels and probabilities [B, C]."""
        for texts in _blocks(len(self.gold), self.num_labels):
            gold_BC = _has_labels(self.gold[texts], self.num_labels)
            yield texts, gold_BC, self.probabilities(texts, slice(None))

    def by_labels(self) -> Iterator[tuple[BoolArray, FloatArray]]:
        """Gold labels and probabilities [N] of each label that occurs."""
        texts_of: list[list[int]] = [[] for _ in range(self.num_labels)]
        for text, indices in enumerate(self.gold):
            for index in indices:
                texts_of[index].append(text)
        for labels in _blocks(self.num_labels, len(self.gold)):
            probabilities_NB = self.probabilities(slice(None), labels)
            for texts, probabilities_N in zip(texts_of[labels], probabilities_NB.T, strict=True):
                if texts:
                    gold_N = np.zeros(len(self.gold), bool)
                    gold_N[texts] = True
                    yield gold_N, probabilities_N


def _has_labels(indices: Sequence[IntArray], num_labels: int) -> BoolArray:
    """Label indices of texts as a table [B, C]."""
    has_BC = np.zeros((len(indices), num_labels), bool)
    for has_C, of_text in zip(has_BC, indices, strict=True):
        has_C[of_text] = True
    return has_BC


class _Counts:
    """Correct, predicted and gold labels: where they occur, and their counts by label [C] and by text [N].

    Also counts by threshold [T] and the bin sums of the calibration curve.
    """

    def __init__(self, judged: Judged, threshold: float | FloatArray) -> None:
        num_texts, num_labels = len(judged.gold), judged.num_labels
        self.right_C, self.predicted_C, self.gold_C = np.zeros((3, num_labels), np.int64)
        self.right_N, self.predicted_N, self.gold_N = np.zeros((3, num_texts), np.int64)
        self.above_T, self.right_above_T = np.zeros((2, _STEPS), np.int64)
        self.bins_3B = np.zeros((3, BINS))
        found: dict[str, list[IntArray]] = {"right": [], "predicted": [], "gold": []}
        for texts, gold_BC, probabilities_BC in judged.by_texts():
            predicted_BC = judged.predicted_in(texts, probabilities_BC, threshold)
            for name, cells_BC in (
                ("right", gold_BC & predicted_BC),
                ("predicted", predicted_BC),
                ("gold", gold_BC),
            ):
                by_label_C = getattr(self, f"{name}_C")
                by_label_C += cells_BC.sum(axis=0)
                getattr(self, f"{name}_N")[texts] = cells_BC.sum(axis=1)
                found[name].append(np.argwhere(cells_BC) + np.array([texts.start, 0]))
            self.above_T += np.histogram(probabilities_BC, _EDGES)[0]
            self.right_above_T += np.histogram(probabilities_BC[gold_BC], _EDGES)[0]
            self.bins_3B += bin_sums(probabilities_BC.ravel(), gold_BC.ravel())
        pairs = {name: np.concatenate(blocks).T for name, blocks in found.items()}
        self.is_exact_N = (self.right_N == self.predicted_N) & (self.right_N == self.gold_N)
        self.pairs = {name: Occurrences(p_2P[0], p_2P[1], num_labels) for name, p_2P in pairs.items()}


def score(judged: Judged, labels: tuple[str, ...], threshold: float | FloatArray) -> Scores:
    """All scores of N texts over C labels.

    Unless `judged` has the predicted labels, a label is predicted if its probability reaches the threshold:
    one for all labels, or one per label [C]. The scores by threshold are for a common one.

    `map` is the mean average precision over the labels that occur. If no label is gold or predicted in any
    text, all label scores are None. A text without gold and predicted labels counts as 0 in averages over
    texts (`samples_f1`), as in scikit-learn.
    """
    counts = _Counts(judged, threshold)
    per_class = class_scores(counts.right_C, counts.predicted_C, counts.gold_C)
    rows = [
        class_row(label, (p, r, f) if is_seen else None, s)
        for label, p, r, f, s, is_seen in zip(labels, *per_class, strict=True)
    ]
    details = {
        "labels": list(labels),
        "per_class": rows,
        **({"threshold": threshold} if isinstance(threshold, float) else {}),
        "tables": [_by_number(counts.gold_N, counts.predicted_N, counts.is_exact_N)],
        "figures": [_by_threshold(counts, threshold), _calibration(counts)],
    }
    num_sorted = int((counts.gold_C > 0).sum())  # labels whose probabilities are sorted
    cells = len(judged.gold) * num_sorted + len(counts.pairs["predicted"].text_P)
    return Scores.of(partial(_weighted, judged, counts), len(judged.gold), details, cells)


def _weighted(judged: Judged, counts: _Counts, weights_RN: FloatArray) -> dict[str, FloatArray]:
    """All scores [R] of weighted texts; NaN where undefined."""
    of_labels = [counts.pairs[name].counts(weights_RN) for name in ("right", "predicted", "gold")]
    per_class = class_scores(*of_labels)
    totals = [each_RC.sum(axis=1) for each_RC in of_labels]
    of_texts = ratios(counts.right_N, counts.predicted_N, counts.gold_N)
    averages = {
        "micro": ratios(*totals),
        "macro": per_class.mean(per_class.is_seen),
        "weighted": per_class.mean(per_class.support),
    }
    is_any_R = per_class.is_seen.any(axis=1)
    names = ("precision", "recall", "f1")
    values = {
        f"{average}_{name}": np.where(is_any_R, each_R, np.nan)
        for average, triple in averages.items()
        for name, each_R in zip(names, triple, strict=True)
    }
    for name, each_N in zip(names, of_texts, strict=True):
        values[f"samples_{name}"] = weighted_mean(weights_RN, each_N)
    wrong_N = counts.predicted_N + counts.gold_N - 2 * counts.right_N
    values["subset_accuracy"] = weighted_mean(weights_RN, counts.is_exact_N.astype(np.float64))
    values["hamming_loss"] = weighted_mean(weights_RN, wrong_N / judged.num_labels)
    total_R, number_R = np.zeros((2, len(weights_RN)))
    for gold_N, probabilities_N in judged.by_labels():
        precision_R = average_precision(gold_N, probabilities_N, weights_RN)
        total_R += np.nan_to_num(precision_R)
        number_R += ~np.isnan(precision_R)
    values["map"] = divided(total_R, number_R, np.nan)
    return values


def _blocks(num: int, width: int) -> Iterator[slice]:
    """Slices of `num` rows of `width` cells, with at most _CELLS cells each."""
    size = max(1, _CELLS // max(1, width))
    return (slice(start, min(start + size, num)) for start in range(0, num, size))


def _by_number(gold_N: IntArray, predicted_N: IntArray, is_exact_N: BoolArray) -> dict[str, Any]:
    """Texts by their number of labels, and how many of them have exactly the gold labels."""
    rows = [
        [
            str(number),
            int((gold_N == number).sum()),
            int((predicted_N == number).sum()),
            _share(is_exact_N, gold_N == number),
        ]
        for number in sorted({*gold_N.tolist(), *predicted_N.tolist()})
    ]
    headings = ["labels per text", "texts (gold)", "texts (predicted)", "subset accuracy"]
    return table("Labels per text", headings, rows)


def _share(right_N: BoolArray, chosen_N: BoolArray) -> float | None:
    return float(right_N[chosen_N].mean()) if chosen_N.any() else None


def _by_threshold(counts: _Counts, threshold: float | FloatArray) -> dict[str, Any]:
    """Micro F1, precision and recall at thresholds from 0 to 0.99 in steps of 0.01."""
    predicted_T, right_T = (each_T[::-1].cumsum()[::-1] for each_T in (counts.above_T, counts.right_above_T))
    num_gold = max(1, int(counts.gold_C.sum()))
    some_T = predicted_T > 0  # precision is undefined where nothing is predicted
    series = {
        "micro F1": (_EDGES[:-1], 2 * right_T / (predicted_T + num_gold)),
        "precision": (_EDGES[:-1][some_T], right_T[some_T] / predicted_T[some_T]),
        "recall": (_EDGES[:-1], right_T / num_gold),
    }
    marks = {"current": threshold} if isinstance(threshold, float) else {}
    return curve("Scores by threshold", ("task.threshold", "score"), series, marks)


def _calibration(counts: _Counts) -> dict[str, Any]:
    axes = ["predicted probability of a label", "fraction of texts with the label"]
    return calibration_of(counts.bins_3B, "labels") | {"axes": axes}
