"""Paired comparison of two sets of scores on the same rows.

Both are resampled with the same weights, so that the noise of the rows cancels where the predictions agree.
The null hypothesis is that both models have the same score on all data like these rows. The p value is that
of the bootstrap distribution of the difference (Efron & Tibshirani 1993, chapter 15 and section 16.4).

A run has a dozen scores, and in that many tests some differ by chance. The primary score is therefore
tested first, at the full level, and the others can only be significant if it is (a gatekeeping procedure:
Dmitrienko, Tamhane & Bretz 2010, chapter 5). For two runs, the probability of any false positive is at most
the level. For more runs, this holds for the primary scores together and for the other scores together.

Dimensions: R resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bertune.metrics.arrays import FloatArray
from bertune.metrics.resampling import LEVEL, Resampled

_DEFINED = 0.5  # minimum fraction of resamples in which both scores are defined


@dataclass(frozen=True)
class Difference:
    """The difference between two values of a score, the second minus the first."""

    value: float
    low: float  # lower end of the 95% interval
    high: float
    p: float  # two-sided


def differences(
    first: Mapping[str, float | None],
    second: Mapping[str, float | None],
    resampled: tuple[Resampled | None, Resampled | None],
) -> dict[str, Difference | None]:
    """The difference of each score that both have; None where it is undefined or there are too few rows."""
    one, other = resampled
    found: dict[str, Difference | None] = {}
    for name in first:
        if name not in second:
            continue
        value, theirs = first[name], second[name]
        found[name] = None
        if value is None or theirs is None:
            continue
        if one and other and name in one.values and name in other.values:
            found[name] = difference(value, theirs, one.values[name], other.values[name])
    return found


def difference(first: float, second: float, first_R: FloatArray, second_R: FloatArray) -> Difference | None:
    """The difference of a score between two models, from its paired resamples; None if undefined."""
    num = min(len(first_R), len(second_R))
    changes_R = second_R[:num] - first_R[:num]
    changes_R = changes_R[np.isfinite(changes_R)]
    value = second - first
    if len(changes_R) < _DEFINED * num or not math.isfinite(value):
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(changes_R, (tail, 1 - tail))
    return Difference(value, float(low), float(high), p_value(changes_R))


def p_value(changes_R: FloatArray) -> float:
    """The two-sided p value of no difference: resamples on either side of 0, those at 0 on both."""
    num = len(changes_R)
    sides = (np.count_nonzero(changes_R <= 0), np.count_nonzero(changes_R >= 0))
    # One is added so that no p value is 0 (Davison & Hinkley 1997, section 4.2).
    return min(1.0, 2 * (min(sides) + 1) / (num + 1))


def adjusted(p_values: Sequence[Mapping[str, float]], primary: str) -> list[dict[str, float]]:
    """The adjusted p values of each comparison's scores.

    Holm's method corrects the primary scores of all comparisons for their number, and separately the other
    scores. The adjusted p value of another score is at least that of the primary score of its comparison.
    """
    found: list[dict[str, float]] = [{} for _ in p_values]
    for is_primary in (True, False):
        family = [
            (i, name) for i, of in enumerate(p_values) for name in of if (name == primary) == is_primary
        ]
        corrected = holm([p_values[i][name] for i, name in family])
        for (i, name), p in zip(family, corrected, strict=True):
            found[i][name] = max(p, found[i].get(primary, 0.0))
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for their number, in the same order (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = largest
    return adjusted
