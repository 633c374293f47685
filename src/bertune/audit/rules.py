"""Rules with one condition that predict a target: a word, the bin of a number, or a category.

A rule is chosen on the first half of the rows and judged on the second. N rows, in random order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertune.audit.hashing import flattened
from bertune.audit.source_columns import MOST_VALUES, Column
from bertune.audit.words import Ints, WordColumn

_LEAST_ROWS = 10  # rows of the first half with a word
_MOST_WORDS = 20_000  # the most frequent words of a column
_RARE = 0.01
_NUM_BINS = 10  # quantile bins of lengths and numeric columns

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """The performance of a rule on the second half of the rows."""

    low: float  # lower bound of the share of errors (or squared errors) of the constant answer it avoids
    score: float  # accuracy; R² for numbers
    constant: float  # the same for a constant prediction: the more frequent answer, or the mean


def judged_labels(predicted: Bools, target: Bools, z: float) -> Judgement:
    """Judge the predictions of one label [N]; `z` is the critical value of the lower bound."""
    second = slice(len(target) // 2, None)
    right, truth = predicted[second] == target[second], target[second]
    positive = float(truth.mean())
    majority = max(positive, 1 - positive)
    gains = right.astype(np.float64) - (truth == (positive >= 0.5))
    low = _lower_mean(gains, z) / (1 - majority) if majority < 1 else 0.0
    return Judgement(low, float(right.mean()), majority)


def judged_numbers(codes: Ints, values: Floats, z: float) -> Judgement:
    """Judge the means of categories [N] as predictions of numbers [N]."""
    half = len(values) // 2
    size = int(codes.max()) + 1
    mean = float(values[:half].mean())
    counts = np.bincount(codes[:half], minlength=size)
    sums = np.bincount(codes[:half], values[:half], size)
    predicted = np.where(counts > 0, sums / np.maximum(counts, 1), mean)[codes[half:]]
    truth = values[half:]
    gains = (truth - mean) ** 2 - (truth - predicted) ** 2
    spread = float(((truth - mean) ** 2).mean())
    if spread == 0:
        return Judgement(0.0, 0.0, 0.0)
    return Judgement(_lower_mean(gains, z) / spread, float(gains.mean()) / spread, 0.0)


def predicted_by(codes: Ints, target: Bools) -> Bools:
    """For each category, the more frequent answer of the first half, as predictions of all rows."""
    half, size = len(target) // 2, int(codes.max()) + 1
    counts = np.bincount(codes[:half], minlength=size)
    right = np.bincount(codes[:half], target[:half], size)
    answers: Bools = 2 * right > counts
    return answers[codes]


def binned(values: NDArray[np.float64]) -> Ints:
    """The number of the quantile bin of each value."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _NUM_BINS + 1)[1:-1]))
    numbers: Ints = np.searchsorted(edges, values, side="right").astype(np.int64)
    return numbers


def categories(values: Column) -> Ints | None:
    """The categories of a column; None if it is constant or has too many values for the number of rows."""
    if values.dtype == np.float64:
        return binned(np.asarray(values, np.float64))
    known, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64) if 1 < len(known) <= min(MOST_VALUES, len(values) // 4) else None


def renames(codes: Ints, labels: Sequence[object]) -> bool:
    """Whether a column repeats the labels under other names: one value for each label, and vice versa.

    Values in less than 1% of the rows are ignored.
    """
    counts = np.bincount(codes)
    frequent = counts[codes] >= _RARE * len(codes)
    pairs = {
        pair for pair, kept in zip(zip(codes.tolist(), labels, strict=True), frequent, strict=True) if kept
    }
    return len(pairs) == len({code for code, _ in pairs}) == len({label for _, label in pairs})


class Words:
    """The occurrences of the frequent words of a text column in the rows."""

    def __init__(self, column: WordColumn, texts: Ints) -> None:
        words, _, lengths = flattened(column, texts)
        size = len(column.names)
        keys = np.unique(np.repeat(np.arange(len(texts)), lengths) * size + words)  # each word once a row
        owners, numbers = keys // size, keys % size
        half = len(texts) // 2
        counts = np.bincount(numbers[owners < half], minlength=size)
        frequent = np.flatnonzero(counts >= _LEAST_ROWS)
        frequent = frequent[np.argsort(-counts[frequent], kind="stable")][:_MOST_WORDS]
        rank = np.full(size, -1, np.int64)
        rank[frequent] = np.arange(len(frequent))
        kept = rank[numbers] >= 0
        self._num_rows = len(texts)
        self._owners, self._ranks = owners[kept], rank[numbers[kept]]
        self._counts = counts[frequent]
        self._names = [column.names[number] for number in frequent.tolist()]

    def best(self, target: Bools) -> tuple[int, int] | None:
        """The word whose presence predicts the target best on the first half, and the errors it avoids."""
        if not self._names:
            return None
        half = self._num_rows // 2
        early = self._owners < half
        right = np.bincount(
            self._ranks[early], target[self._owners[early]].astype(np.float64), len(self._names)
        )
        positives = int(target[:half].sum())
        # Errors of the rule: rows with the word and without the label, and vice versa.
        errors = (self._counts - right) + (positives - right)
        best = int(np.argmin(errors))
        return best, int(min(positives, half - positives) - errors[best])

    def name(self, word: int) -> str:
        """A word without case."""
        return self._names[word]

    def rows_with(self, word: int) -> Bools:
        """The rows that contain a word."""
        found = np.zeros(self._num_rows, bool)
        found[self._owners[self._ranks == word]] = True
        return found


def _lower_mean(values: Floats, z: float) -> float:
    return float(values.mean()) - z * float(values.std()) / math.sqrt(len(values))
