"""The `Scores` data class, which every task returns.

Dimensions: N rows, R resamples.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray

# From weights [R, N] to the scores [R] by name; NaN where a score is undefined.
Weighted = Callable[[FloatArray], Mapping[str, FloatArray]]

LOWER_IS_BETTER = {
    "loss",
    "log_loss",
    "hamming_loss",
    "mse",
    "rmse",
    "mae",
    "perplexity",
    "pseudo_perplexity",
    "ece",
    "brier",
    "brier_score",
}


@dataclass(frozen=True)
class Scores:
    """Scores by name, and the details that a report shows with them.

    `weighted` computes the same scores for weighted rows, from which intervals are computed. A whole number
    as weight means that a row counts that often, 0 that it is left out. Without it, intervals take more time.
    """

    values: dict[str, float | None]  # None if a score is undefined, such as ROC AUC on a single class
    details: dict[str, Any] = field(default_factory=dict)  # plain JSON: see bertune.metrics.details
    weighted: Weighted | None = field(default=None, repr=False, compare=False)
    # Numbers that `weighted` computes per resample; the number of rows if it is 0.
    cells: int = field(default=0, repr=False, compare=False)

    def __getitem__(self, name: str) -> float | None:
        return self.values[name]

    @classmethod
    def of(cls, weighted: Weighted, num_rows: int, details: dict[str, Any], cells: int = 0) -> Self:
        """The scores of `num_rows` rows of equal weight."""
        return cls(unweighted(weighted, num_rows), details, weighted, cells)


def unweighted(weighted: Weighted, num_rows: int) -> dict[str, float | None]:
    """The scores of rows of equal weight; None where undefined."""
    found = weighted(np.ones((1, num_rows)))
    return {name: None if math.isnan(each_R[0]) else float(each_R[0]) for name, each_R in found.items()}


def first_rows(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """The index of the first row of each group, by the key of each row; it has the weight of the group."""
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return np.array(list(first.values()), np.int64)


def weighted_mean(weights_RN: FloatArray, values_N: FloatArray) -> FloatArray:
    """The weighted mean of the values [N] that are not NaN; NaN for resamples without such a value."""
    is_defined_N = ~np.isnan(values_N)
    if not is_defined_N.all():
        weights_RN, values_N = weights_RN[:, is_defined_N], values_N[is_defined_N]
    total_R = weights_RN.sum(axis=1)
    return divided((weights_RN * values_N).sum(axis=1), total_R, np.nan)


def divided(part: Any, whole: Any, otherwise: float = 0.0) -> FloatArray:
    """`part / whole`, and `otherwise` where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    quotient: FloatArray = np.divide(part, whole, where=whole > 0, out=np.full(part.shape, otherwise))
    return quotient
