"""Rules for choosing a checkpoint among the evaluations of a training, and the bootstrap that some need.

Each rule sees the validation rows only; what it chooses is then judged by the test score. Dimensions: E
evaluations, N validation rows, B resamples.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVELS = (0.7, 0.9, 0.95)  # share of resamples in which an earlier evaluation must score higher

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Course:
    """The evaluations of one training, in their order."""

    validation: list[float]  # E scores
    test: list[float]  # E scores, which no rule sees
    correct_EN: Bits  # which validation rows were right
    gold_N: Bits | None  # which of two labels they have; None where there are more labels


Rule = Callable[[Course, np.random.Generator], int]  # the position of the evaluation that is kept


def best(course: Course, _: np.random.Generator) -> int:
    """The highest validation score, the first of equals: what bertune does."""
    return max(range(len(course.validation)), key=lambda i: (course.validation[i], -i))


def last(course: Course, _: np.random.Generator) -> int:
    """The last evaluation, whatever it scored."""
    return len(course.validation) - 1


def last_unless_best_wins(level: float) -> Rule:
    """The last one, unless the best one scores higher in at least `level` of the resamples."""

    def rule(course: Course, random: np.random.Generator) -> int:
        first, final = best(course, random), last(course, random)
        return first if share_won(course, first, final, random) >= level else final

    return rule


def later_unless_earlier_wins(level: float) -> Rule:
    """Each evaluation replaces the one kept so far, unless that scores higher in `level` of the resamples."""

    def rule(course: Course, random: np.random.Generator) -> int:
        kept = 0
        for later in range(1, len(course.validation)):
            if share_won(course, kept, later, random) < level:
                kept = later
        return kept

    return rule


RULES: dict[str, Rule] = {
    "best": best,
    "last": last,
    **{f"last unless best wins {level:g}": last_unless_best_wins(level) for level in LEVELS},
    **{f"later unless earlier wins {level:g}": later_unless_earlier_wins(level) for level in LEVELS},
}


def packed_bits(bits: Bits) -> str:
    """Bits as base64, eight to a byte."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")


def unpacked_bits(text: str, count: int) -> Bits:
    """What `packed_bits` packed."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)


def share_won(course: Course, one: int, other: int, random: np.random.Generator) -> float:
    """In what share of paired bootstrap samples of the validation rows `one` scores higher than `other`.

    Ties count half. The score is the Matthews correlation if there are two labels, else accuracy. Rows with
    the same gold label and the same two predictions are exchangeable: a sample is a multinomial draw.
    """
    gold_N = np.zeros(course.correct_EN.shape[1], bool) if course.gold_N is None else course.gold_N
    cells_N = 4 * gold_N + 2 * course.correct_EN[one] + course.correct_EN[other]
    counts_8 = np.bincount(cells_N, minlength=8)
    draws_BGOO = random.multinomial(counts_8.sum(), counts_8 / counts_8.sum(), RESAMPLES).reshape(-1, 2, 2, 2)
    score = accuracy if course.gold_N is None else matthews
    # Summed over what the other side predicted: [B, gold, whether it was right].
    difference_B = score(draws_BGOO.sum(3)) - score(draws_BGOO.sum(2))
    return float((difference_B > 0).mean() + 0.5 * (difference_B == 0).mean())


def accuracy(counts_BG2: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracy [B] from the numbers of wrong and right rows by gold label."""
    return np.asarray(counts_BG2[:, :, 1].sum(1) / counts_BG2.sum((1, 2)))


def matthews(counts_BG2: NDArray[np.int64]) -> NDArray[np.float64]:
    """Matthews correlation [B] from the same; 0 where a label is never there or never predicted."""
    false_positive, true_negative = counts_BG2[:, 0, 0], counts_BG2[:, 0, 1]
    false_negative, true_positive = counts_BG2[:, 1, 0], counts_BG2[:, 1, 1]
    product = (
        (true_positive + false_positive).astype(np.float64)
        * (true_positive + false_negative)
        * (true_negative + false_positive)
        * (true_negative + false_negative)
    )
    numerator = true_positive * true_negative - false_positive * false_negative
    return np.asarray(np.where(product > 0, numerator / np.sqrt(np.maximum(product, 1)), 0.0))


def chosen_scores(courses: Sequence[Course]) -> dict[str, list[float]]:
    """The test score of what each rule chooses, by training; `oracle` is the highest test score there is."""
    found = {
        name: [
            course.test[rule(course, np.random.default_rng(number))] for number, course in enumerate(courses)
        ]
        for name, rule in RULES.items()
    }
    return {**found, "oracle": [max(course.test, default=math.nan) for course in courses]}
