"""Thresholds for predictions that need no review, with a guarantee or for a target.

A guarantee bounds the error rate among the answers: a threshold is accepted only if a statistical test
rejects that more than `max_error` of the answers above it are wrong. Thresholds are tested in a fixed order,
each at the full level, until the first one fails (fixed-sequence testing, as in Learn then Test,
Angelopoulos et al. 2021). Grid and order come from other rows, the pilot, so that they do not depend on the
rows that are tested ("split fixed sequence testing", section 2.2 there). Dimensions: U answers, G groups, T
thresholds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertune.metrics.arrays import BoolArray, FloatArray, IntArray

ANSWER, REVIEW = "answer", "review"
_GRID = 100  # thresholds between which the test chooses: shares of the pilot in steps of 1%
_NEWTON_STEPS = 30  # for two coefficients, with limited steps
_MOST_NEEDED = 10**7  # examples; more are not worth reporting
_PILOT_SHARE = 0.9  # of the wealth is bet as the pilot suggests, the rest evenly
_RUIN = 1e-300  # what a bet of all wealth leaves, so that logarithms stay finite
# Shares of wealth that a bet risks, as fractions of the largest possible one. Their mean is a valid bet too.
_BETS = (0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True)
class DecisionRule:
    """When a prediction can be used without review. All other predictions are marked for review.

    The answer to a question is given if its confidence reaches the threshold of the question; None: never.
    Most tasks have a single question, named "". `cutoffs` are thresholds of probabilities at which a label is
    predicted, by label, and `costs` are the costs of predicting [C] instead of the gold label [C].
    """

    thresholds: Mapping[str, float | None] | None = None  # None: no prediction is marked for review
    max_error: float | None = None  # of the guarantee; None for thresholds without one
    confidence: float | None = None
    cutoffs: Mapping[str, float] | None = None
    costs: tuple[tuple[float, ...], ...] | None = None

    def decision(self, confidence: float, question: str = "") -> str | None:
        """ANSWER or REVIEW; None if the rule concerns only the label that is predicted."""
        if self.thresholds is None:
            return None
        threshold = self.thresholds.get(question)
        return ANSWER if threshold is not None and confidence >= threshold else REVIEW


@dataclass(frozen=True)
class Judged:
    """Answers to one question: their confidence, whether they are wrong, and the group of their rows."""

    confidence_U: FloatArray
    is_wrong_U: BoolArray
    group_U: IntArray  # answers of the same group depend on each other

    @classmethod
    def of(cls, confidence: Sequence[float], is_wrong: Sequence[bool], groups: Sequence[Any]) -> "Judged":
        """From lists; groups can be any hashable values."""
        numbers: dict[Any, int] = {}
        group = [numbers.setdefault(key, len(numbers)) for key in groups]
        return cls(np.array(confidence, np.float64), np.array(is_wrong, bool), np.array(group, np.int64))

    def __len__(self) -> int:
        return len(self.confidence_U)

    @property
    def has_groups(self) -> bool:
        """Whether several answers belong to one group."""
        return len(np.unique(self.group_U)) < len(self)


@dataclass(frozen=True)
class Fit:
    """The threshold of a question, and its coverage and errors on the rows that it was tested on."""

    threshold: float | None  # None: everything is marked for review
    num: int  # answers that were tested, whether given or not
    num_groups: int
    answered: int
    wrong: int
    needed: int | None = None  # additional answers with which a threshold would probably be accepted

    @property
    def share(self) -> float:
        """The share of inputs that are answered."""
        return self.answered / self.num if self.num else 0.0


def binomial_p_value(wrong: int, answered: int, max_error: float) -> float:
    """The probability of at most `wrong` errors in `answered` answers, if each is wrong with `max_error`.

    The exact binomial test, which is the inverse of the Clopper-Pearson bound.
    """
    if wrong >= answered:
        return 1.0
    counts = np.arange(wrong + 1)
    steps = np.log(answered - counts[:-1]) - np.log(counts[1:])
    log_terms = np.concatenate([[0.0], np.cumsum(steps)])
    log_terms += counts * math.log(max_error) + (answered - counts) * math.log1p(-max_error)
    return min(1.0, float(np.exp(log_terms).sum()))


def upper_bound(wrong: int, answered: int, confidence: float) -> float:
    """The exact one-sided upper bound of an error rate (Clopper & Pearson 1934); 1 without answers."""
    if wrong >= answered:
        return 1.0
    low, high = wrong / answered, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_p_value(wrong, answered, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def grouped_p_value(gains_G: FloatArray, max_error: float, pilot_gains: FloatArray | None = None) -> float:
    """A p-value for the hypothesis that the error rate among answers of grouped rows exceeds `max_error`.

    `gains_G` is, for each group, (max_error * its answers - its errors) / its rows, which is between
    max_error - 1 and max_error. Each group counts once, whatever its size, so the error rate refers to a
    random row of a random group. Under the hypothesis, the mean gain is negative, and the expected wealth of
    a bettor does not grow (testing by betting, Waudby-Smith & Ramdas 2024; by Markov's inequality, the
    inverse of the wealth is a p-value). The gains of other groups, the pilot, determine how much is bet.
    Exact for any number of groups and any dependence within them.
    """
    if not len(gains_G):
        return 1.0
    bets = np.array(_BETS) / (1 - max_error)
    shares = np.full(len(bets), 1 / len(bets))
    if pilot_gains is not None and len(pilot_gains):
        of_pilot = _log_wealth(bets, pilot_gains)
        of_pilot = np.exp(of_pilot - of_pilot.max())
        shares = _PILOT_SHARE * of_pilot / of_pilot.sum() + (1 - _PILOT_SHARE) * shares
    growth = _log_wealth(bets, gains_G) + np.log(shares)
    highest = float(growth.max())
    log_wealth = highest + math.log(float(np.exp(growth - highest).sum()))
    return min(1.0, math.exp(-log_wealth)) if log_wealth > 0 else 1.0


def _log_wealth(bets: FloatArray, gains_G: FloatArray) -> FloatArray:
    """The logarithm of the wealth after all bets, from 1."""
    factors = np.maximum(1 + bets[:, None] * gains_G[None, :], _RUIN)
    growth: FloatArray = np.log(factors).sum(axis=1)
    return growth


def p_value(judged: Judged, threshold: float, max_error: float, pilot: Judged | None = None) -> float:
    """The p-value for the hypothesis that more than `max_error` of the answers at a threshold are wrong.

    Exact binomial for independent rows; otherwise `grouped_p_value`.
    """
    if judged.has_groups:
        of_pilot = None if pilot is None else _gains(pilot, threshold, max_error)
        return grouped_p_value(_gains(judged, threshold, max_error), max_error, of_pilot)
    is_answered_U = judged.confidence_U >= threshold
    wrong = int((is_answered_U & judged.is_wrong_U).sum())
    return binomial_p_value(wrong, int(is_answered_U.sum()), max_error)


def _gains(judged: Judged, threshold: float, max_error: float) -> FloatArray:
    """The gains [G] of `grouped_p_value`."""
    is_answered_U = judged.confidence_U >= threshold
    gain_U = is_answered_U * (max_error - judged.is_wrong_U)
    size_G = np.bincount(judged.group_U)
    gains: FloatArray = np.bincount(judged.group_U, gain_U)[size_G > 0] / size_G[size_G > 0]
    return gains


def fit_guarantee(pilot: Judged, rows: Judged, max_error: float, confidence: float) -> Fit:
    """The lowest threshold for which `rows` show, with `confidence`, an error rate of at most `max_error`.

    The thresholds are those at which 1%, 2%, ... 100% of the pilot is answered. Testing starts with the one
    that is most likely to be accepted according to the pilot, and continues with lower ones until one is not
    accepted.
    """
    grid_T = _grid(pilot)
    level = 1 - confidence
    chosen = None
    for threshold in grid_T[_start(pilot, rows, grid_T, max_error) :]:
        if p_value(rows, float(threshold), max_error, pilot) > level:
            break
        chosen = float(threshold)
    fit = applied(rows, chosen)
    if chosen is not None:
        return fit
    return Fit(None, fit.num, fit.num_groups, 0, 0, examples_needed(pilot, rows, max_error, confidence))


def applied(rows: Judged, threshold: float | None) -> Fit:
    """The coverage and the errors of a threshold on rows."""
    is_answered_U = np.zeros(len(rows), bool) if threshold is None else rows.confidence_U >= threshold
    wrong = int((is_answered_U & rows.is_wrong_U).sum())
    return Fit(threshold, len(rows), len(np.unique(rows.group_U)), int(is_answered_U.sum()), wrong)


def examples_needed(pilot: Judged, rows: Judged, max_error: float, confidence: float) -> int | None:
    """How many more answers, of any confidence, would probably suffice for some threshold to be accepted.

    For each share of answers, the observed error rate is assumed to be the true one; the result is for the
    share that needs the fewest. None if the error rate of no share is below `max_error`.
    """
    confidence_U = np.concatenate([pilot.confidence_U, rows.confidence_U])
    wrong_U = np.concatenate([pilot.is_wrong_U, rows.is_wrong_U])[np.argsort(-confidence_U, kind="stable")]
    total = len(wrong_U)
    if not total or not len(rows):
        return None
    least = math.ceil(math.log(1 - confidence) / math.log1p(-max_error))
    best: int | None = None
    errors_U = np.cumsum(wrong_U)
    for answered in sorted({max(1, round(total * part / 20)) for part in range(1, 21)}):
        # With few answers, no observed error does not mean that there are none.
        rate = (float(errors_U[answered - 1]) + 0.5) / (answered + 1)
        if rate >= 0.9 * max_error:
            continue
        answers = least
        while answers < _MOST_NEEDED and (
            binomial_p_value(math.ceil(rate * answers), answers, max_error) > 1 - confidence
        ):
            answers = math.ceil(1.1 * answers)
        inputs = math.ceil(answers * total / answered)
        if answers < _MOST_NEEDED and (best is None or inputs < best):
            best = inputs
    # One group counts as one answer.
    per_group = len(rows) / max(1, len(np.unique(rows.group_U)))
    return None if best is None else max(1, math.ceil(best * per_group) - len(rows))


def naive_threshold(rows: Judged, max_error: float) -> float | None:
    """The lowest threshold whose observed error rate is at most `max_error`. Its error rate is higher on new
    data in about half of all cases; used for comparison only."""
    order_U = np.argsort(-rows.confidence_U, kind="stable")
    sorted_U = rows.confidence_U[order_U]
    rate_U = np.cumsum(rows.is_wrong_U[order_U]) / np.arange(1, len(rows) + 1)
    is_last_U = np.append(sorted_U[1:] != sorted_U[:-1], True)
    fitting = np.flatnonzero(is_last_U & (rate_U <= max_error))
    return float(sorted_U[fitting[-1]]) if len(fitting) else None


def risk_by_coverage(rows: Judged) -> tuple[FloatArray, FloatArray]:
    """The share of inputs that are answered, ascending, and the error rate among these answers."""
    order_U = np.argsort(-rows.confidence_U, kind="stable")
    sorted_U = rows.confidence_U[order_U]
    numbers_U = np.arange(1, len(rows) + 1)
    rates_U = np.cumsum(rows.is_wrong_U[order_U]) / numbers_U
    is_last_U = np.append(sorted_U[1:] != sorted_U[:-1], True) if len(rows) else np.zeros(0, bool)
    return numbers_U[is_last_U] / max(1, len(rows)), rates_U[is_last_U]


def best_f1_cutoff(chance_N: FloatArray, gold_N: BoolArray) -> float | None:
    """The probability from which on a label is predicted with the highest F1; None without gold labels."""
    return _best_cutoff(chance_N, gold_N, lambda precision, recall: 2 * precision * recall)


def precision_cutoff(chance_N: FloatArray, gold_N: BoolArray, target: float) -> float | None:
    """The cutoff with the highest recall whose precision is at least `target`; None if there is none."""
    return _best_cutoff(
        chance_N, gold_N, lambda precision, recall: np.where(precision >= target, recall, -1.0), is_f1=False
    )


def recall_cutoff(chance_N: FloatArray, gold_N: BoolArray, target: float) -> float | None:
    """The cutoff with the highest precision whose recall is at least `target`; None without gold labels."""
    return _best_cutoff(
        chance_N, gold_N, lambda precision, recall: np.where(recall >= target, precision, -1.0), is_f1=False
    )


def _best_cutoff(chance_N: FloatArray, gold_N: BoolArray, value: Any, is_f1: bool = True) -> float | None:
    """The probability at which a function of precision and recall is highest, halfway to the next lower."""
    if not gold_N.any():
        return None
    order_N = np.argsort(-chance_N, kind="stable")
    sorted_N = chance_N[order_N]
    is_last_N = np.append(sorted_N[1:] != sorted_N[:-1], True)
    right_N = np.cumsum(gold_N[order_N])
    precision_N, recall_N = right_N / np.arange(1, len(sorted_N) + 1), right_N / gold_N.sum()
    values_N = np.asarray(value(precision_N, recall_N), np.float64)
    if is_f1:
        values_N = np.divide(values_N, precision_N + recall_N, where=right_N > 0, out=np.zeros(len(values_N)))
    values_N[~is_last_N] = -1.0
    best = int(values_N.argmax())
    if values_N[best] < 0:
        return None
    below = float(sorted_N[best + 1]) if best + 1 < len(sorted_N) else 0.0
    return (float(sorted_N[best]) + below) / 2


def _grid(pilot: Judged) -> FloatArray:
    """Thresholds in descending order, the last of which answers everything."""
    if not len(pilot):
        return np.array([0.0])
    shares = np.arange(1, _GRID) / _GRID
    inner = np.quantile(pilot.confidence_U, 1 - shares, method="higher")
    return np.unique(np.append(inner, 0.0))[::-1]


def _start(pilot: Judged, rows: Judged, grid_T: FloatArray, max_error: float) -> int:
    """The position of the threshold with the smallest p-value that the pilot predicts for the rows."""
    if not len(pilot):
        return 0
    rate_U = _expected_errors(pilot)
    per_group = len(rows) / max(1, len(np.unique(rows.group_U)))
    scale = len(rows) / len(pilot) / max(1.0, per_group)
    predicted = []
    for threshold in grid_T:
        is_answered_U = pilot.confidence_U >= threshold
        expected = max(1, round(int(is_answered_U.sum()) * scale))
        wrong = min(expected, math.floor(float(rate_U[is_answered_U].mean()) * expected + 0.5))
        predicted.append(binomial_p_value(wrong, expected, max_error))
    return int(np.argmin(predicted))


def _expected_errors(pilot: Judged) -> FloatArray:
    """The probability [U] that each answer is wrong, by a logistic regression on the logit of its confidence.

    A ridge draws the two coefficients towards those of calibrated confidences, so that few rows suffice.
    """
    chance_U = np.clip(pilot.confidence_U, 1e-9, 1 - 1e-9)
    inputs_U2 = np.stack([np.ones(len(pilot)), np.log(chance_U / (1 - chance_U))], axis=1)
    calibrated = np.array([0.0, -1.0])
    coefficients = calibrated.copy()
    for _ in range(_NEWTON_STEPS):
        rate_U = _logistic(inputs_U2 @ coefficients)
        slope = inputs_U2.T @ (rate_U - pilot.is_wrong_U) + (coefficients - calibrated)
        curvature = (inputs_U2 * (rate_U * (1 - rate_U))[:, None]).T @ inputs_U2 + np.eye(2)
        step = np.linalg.solve(curvature, slope)
        coefficients -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
    return _logistic(inputs_U2 @ coefficients)


def _logistic(values: FloatArray) -> FloatArray:
    rates: FloatArray = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return rates
