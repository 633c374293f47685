"""Bounds of a share or a mean that hold for many comparisons at once."""

import math
from statistics import NormalDist

_ERROR = 0.01  # probability that any of the bounds of one family is wrong


def critical_value(num_comparisons: int) -> float:
    """The one-sided critical value of a normal distribution with Bonferroni's correction."""
    return NormalDist().inv_cdf(1 - _ERROR / max(1, num_comparisons))


def lower_share(count: int, total: int, z: float) -> float:
    """The lower bound of a share (Wilson 1927); 0 if `total` is 0."""
    if not total:
        return 0.0
    share = count / total
    centre = share + z * z / (2 * total)
    width = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (centre - width) / (1 + z * z / total))
