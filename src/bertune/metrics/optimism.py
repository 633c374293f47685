"""How much the score of the best of several models overstates its quality, because it was selected.

The best of T scores on the same rows is partly luck: the winner's curse (Cawley & Talbot 2010, "On
over-fitting in model selection"). Its size is estimated from paired resamples of these rows. Dimensions: T
trials, R resamples.
"""

import math
from dataclasses import dataclass

import numpy as np

from bertune.metrics.arrays import FloatArray

_EDGE, _POINTS = 9.0, 4001  # the density of the maximum is negligible beyond 9 standard deviations


@dataclass(frozen=True)
class Optimism:
    """By how much the best score is expected to be too high, in the unit of the score (0 or more)."""

    expected: float  # estimate from resamples
    noise: float  # standard deviation of the paired noise of a score
    ceiling: float  # the expectation if all trials were equally good
    num_trials: int


def optimism(values_TR: FloatArray, lower_is_better: bool) -> Optimism | None:
    """Estimate the optimism of the best of T trials from the resampled scores [T, R] of all of them.

    `expected`: in each resample, the best trial is selected, and its score there is compared with its mean
    score over all resamples (bootstrap bias correction of a selection; Tsamardinos, Greasidou & Borboudakis
    2018). `ceiling`: the standard deviation of the noise, times the expected maximum of T standard normal
    numbers. The noise is what a score changes in resamples beyond the mean of all trials, because changes
    that all trials share do not affect the selection. None with fewer than two trials.
    """
    num_trials = len(values_TR)
    if num_trials < 2:
        return None
    signed_TR = -values_TR if lower_is_better else values_TR
    mean_T = signed_TR.mean(axis=1)
    best_R = signed_TR.argmax(axis=0)
    expected = float((signed_TR.max(axis=0) - mean_T[best_R]).mean())
    noise_TR = signed_TR - mean_T[:, None]
    noise_TR = noise_TR - noise_TR.mean(axis=0)
    # T - 1: one degree of freedom is used for the mean over the trials.
    noise = math.sqrt(float(np.square(noise_TR).sum(axis=0).mean()) / (num_trials - 1))
    return Optimism(max(0.0, expected), noise, noise * expected_maximum(num_trials), num_trials)


def expected_maximum(count: int) -> float:
    """The expected maximum of `count` independent standard normal numbers.

    The integral of x times the density of the maximum, n φ(x) Φ(x)^(n-1) (David & Nagaraja 2003, "Order
    statistics", section 3.1), by the trapezoidal rule.
    """
    x = np.linspace(-_EDGE, _EDGE, _POINTS)
    density = np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)
    below = np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in x])
    return float(np.trapezoid(x * count * density * below ** (count - 1), x))
