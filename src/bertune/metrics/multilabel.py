"""Scores of many-labels-per-text classification, as scikit-learn defines them.

Dimensions: N texts, C labels, B texts or labels of a block, T thresholds. Rows are read in blocks of texts,
and once more in blocks of labels: no array of N x C is made.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import BINS, bin_sums, calibration_of, curve, table
from bertune.metrics.scores import Scores

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Triple = tuple[FloatArray, FloatArray, FloatArray]  # precision, recall, F1
_STEPS = 100  # of the thresholds tried
_CELLS = 2**22  # probabilities held at once: 32 MB
_EDGES = np.linspace(0, 1, _STEPS + 1)


@dataclass(frozen=True)
class Judged:
    """The labels of N texts and their probabilities.

    `probabilities(texts, labels)` gives the part [.., ..] between two slices.
    """

    gold: Sequence[IntArray]  # the numbers of each text's labels
    num_labels: int
    probabilities: Callable[[slice, slice], FloatArray]

    def by_texts(self) -> Iterator[tuple[slice, BoolArray, FloatArray]]:
        """Blocks of texts, with gold and probabilities [B, C]."""
        for texts in _blocks(len(self.gold), self.num_labels):
            gold_BC = np.zeros((len(self.gold[texts]), self.num_labels), bool)
            for gold_C, numbers in zip(gold_BC, self.gold[texts], strict=True):
                gold_C[numbers] = True
            yield texts, gold_BC, self.probabilities(texts, slice(None))

    def by_labels(self) -> Iterator[tuple[BoolArray, FloatArray]]:
        """Gold and probabilities [N] of each label that occurs."""
        texts_of: list[list[int]] = [[] for _ in range(self.num_labels)]
        for text, numbers in enumerate(self.gold):
            for number in numbers:
                texts_of[number].append(text)
        for labels in _blocks(self.num_labels, len(self.gold)):
            probabilities_NB = self.probabilities(slice(None), labels)
            for texts, probabilities_N in zip(texts_of[labels], probabilities_NB.T, strict=True):
                if texts:
                    gold_N = np.zeros(len(self.gold), bool)
                    gold_N[texts] = True
                    yield gold_N, probabilities_N


class _Counts:
    """How many labels are right, predicted and there: by label [C] and by text [N]; and of all cells, how
    sure the model was."""

    def __init__(self, judged: Judged, threshold: float) -> None:
        num_texts, num_labels = len(judged.gold), judged.num_labels
        self.right_C, self.found_C, self.there_C = np.zeros((3, num_labels), np.int64)
        self.right_N, self.found_N, self.there_N = np.zeros((3, num_texts), np.int64)
        self.above_T, self.right_above_T = np.zeros((2, _STEPS), np.int64)
        self.bins_3B = np.zeros((3, BINS))
        for texts, gold_BC, probabilities_BC in judged.by_texts():
            predicted_BC = probabilities_BC >= threshold
            for name, cells_BC in (
                ("right", gold_BC & predicted_BC),
                ("found", predicted_BC),
                ("there", gold_BC),
            ):
                by_label_C = getattr(self, f"{name}_C")
                by_label_C += cells_BC.sum(axis=0)
                getattr(self, f"{name}_N")[texts] = cells_BC.sum(axis=1)
            self.above_T += np.histogram(probabilities_BC, _EDGES)[0]
            self.right_above_T += np.histogram(probabilities_BC[gold_BC], _EDGES)[0]
            self.bins_3B += bin_sums(probabilities_BC.ravel(), gold_BC.ravel())


def score(
    gold_NC: BoolArray,
    probabilities_NC: FloatArray,
    labels: tuple[str, ...],
    threshold: float,
) -> Scores:
    """`score_judged` of whole arrays."""
    gold = [np.flatnonzero(gold_C) for gold_C in gold_NC]
    return score_judged(
        Judged(gold, len(labels), lambda texts, these: probabilities_NC[texts, these]), labels, threshold
    )


def score_judged(judged: Judged, labels: tuple[str, ...], threshold: float) -> Scores:
    """Every score of N texts over C labels, one that reaches the threshold being predicted.

    `map` is the mean over labels that occur of the area under precision and recall.
    """
    counts = _Counts(judged, threshold)
    of_labels = _ratios(counts.right_C, counts.found_C, counts.there_C)
    of_texts = _ratios(counts.right_N, counts.found_N, counts.there_N)
    totals = (np.array([each_C.sum()]) for each_C in (counts.right_C, counts.found_C, counts.there_C))
    averages: dict[str, Sequence[FloatArray]] = {
        "micro": _ratios(*totals),
        "macro": of_labels,
        "weighted": [_weighted(each_C, counts.there_C) for each_C in of_labels],
        "samples": of_texts,
    }
    values: dict[str, float | None] = {
        f"{average}_{name}": float(np.mean(each))
        for average, triple in averages.items()
        for name, each in zip(("precision", "recall", "f1"), triple, strict=True)
    }
    num_texts, num_labels = len(judged.gold), judged.num_labels
    is_exact_N = (counts.right_N == counts.found_N) & (counts.right_N == counts.there_N)
    num_wrong = int((counts.found_N + counts.there_N - 2 * counts.right_N).sum())
    values["subset_accuracy"] = float(is_exact_N.mean())
    values["hamming_loss"] = float(num_wrong / (num_texts * num_labels))
    precisions = [average_precision(*of_label) for of_label in judged.by_labels()]
    values["map"] = float(np.mean(precisions)) if precisions else None
    rows = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *of_labels, counts.there_C, strict=True)
    ]
    details = {
        "labels": list(labels),
        "per_class": rows,
        "threshold": threshold,
        "tables": [_by_number(counts.there_N, counts.found_N, is_exact_N)],
        "figures": [_by_threshold(counts, threshold), _calibration(counts)],
    }
    return Scores(values, details)


def average_precision(gold_N: BoolArray, scores_N: FloatArray) -> float:
    """The area under precision and recall in steps, as scikit-learn's average_precision_score; some of the
    gold must be true."""
    order_N = np.argsort(scores_N, kind="stable")[::-1]
    sorted_N = scores_N[order_N]
    last_of_equals = np.append(np.flatnonzero(np.diff(sorted_N)), len(sorted_N) - 1)
    right = np.cumsum(gold_N[order_N], dtype=np.float64)[last_of_equals]
    precision, recall = right / (1 + last_of_equals), right / right[-1]
    # From the lowest threshold on, as there, so that sums round alike.
    steps = np.diff(np.append(recall[::-1], 0.0)) * precision[::-1]
    return max(0.0, float(-steps.sum()))


def _blocks(num: int, width: int) -> Iterator[slice]:
    """Slices of `num` rows of so many cells."""
    size = max(1, _CELLS // max(1, width))
    return (slice(start, min(start + size, num)) for start in range(0, num, size))


def _ratios(right: IntArray, found: IntArray, there: IntArray) -> Triple:
    """Precision, recall and F1; 0 where undefined."""
    pairs = ((right, found), (right, there), (2.0 * right, there + found))
    precision, recall, f1 = (
        np.divide(part, whole, where=whole > 0, out=np.zeros(len(whole))) for part, whole in pairs
    )
    return precision, recall, f1


def _weighted(each_C: FloatArray, support_C: IntArray) -> FloatArray:
    return np.asarray(np.average(each_C, weights=support_C) if support_C.any() else 0.0, np.float64)


def _by_number(there_N: IntArray, found_N: IntArray, is_exact_N: BoolArray) -> dict[str, Any]:
    rows = [
        [
            str(number),
            int((there_N == number).sum()),
            int((found_N == number).sum()),
            _share(is_exact_N, there_N == number),
        ]
        for number in sorted({*there_N.tolist(), *found_N.tolist()})
    ]
    headings = ["labels", "texts with so many", "predicted so many", "of the first, all right"]
    return table("Labels in a text", headings, rows)


def _share(right_N: BoolArray, chosen_N: BoolArray) -> float | None:
    return float(right_N[chosen_N].mean()) if chosen_N.any() else None


def _by_threshold(counts: _Counts, threshold: float) -> dict[str, Any]:
    """Micro F1, precision and recall at every hundredth."""
    found_T, right_T = (each_T[::-1].cumsum()[::-1] for each_T in (counts.above_T, counts.right_above_T))
    there = max(1, int(counts.there_C.sum()))
    some_T = found_T > 0  # of nothing there is no precision
    series = {
        "micro F1": (_EDGES[:-1], 2 * right_T / (found_T + there)),
        "precision": (_EDGES[:-1][some_T], right_T[some_T] / found_T[some_T]),
        "recall": (_EDGES[:-1], right_T / there),
    }
    return curve("Scores by threshold", ("task.threshold", "score"), series, {"as set": threshold})


def _calibration(counts: _Counts) -> dict[str, Any]:
    axes = ["probability of a label", "share of texts that have it"]
    return calibration_of(counts.bins_3B, "labels") | {"axes": axes}
