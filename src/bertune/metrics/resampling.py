"""Bootstrap resamples of scores, and the intervals computed from them.

Rows are resampled in units: whole groups where rows belong to groups, such as the documents of a query,
otherwise single rows. A resample is a weight for each row, the number of times that its unit was drawn, and
all scores are computed from the weights of many resamples at once (`Scores.weighted`).

The interval of a score is from the 2.5th to the 97.5th percentile of its resamples. docs/results.md shows how
often it contains the true score, compared with bias-corrected intervals (BCa; Efron 1987), which are too
short for the macro average over many labels.

Dimensions: N rows, U units, R resamples.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertune.metrics.arrays import FloatArray, IntArray
from bertune.metrics.scores import Scores, Weighted

# The scores of some rows, which may be any subset of them, in order.
Rescore = Callable[[Sequence[int]], Mapping[str, float | None]]

LEVEL = 0.95
MOST = 2000  # resamples; the end of an interval then varies by about 5% of its width between seeds
LEAST = 200  # resamples of scores that take long
FEWEST_UNITS = 10  # below, resamples are too similar for an interval
_CELLS = 2**20  # weights in memory at once: 8 MB
_FEWEST_AT_ONCE = 16  # resamples, so that operations are vectorized
_WORK = 2**28  # numbers to compute; a few seconds for scores that sort the rows
_DEFINED = 0.5  # minimum fraction of resamples in which a score is defined
_HALVES = 200  # half-samples of a task without `Scores.weighted`


@dataclass(frozen=True)
class Resampled:
    """The scores of resamples."""

    values: Mapping[str, FloatArray]  # [R] by name, NaN where undefined
    method: str  # bootstrap, or half-samples for a task without `Scores.weighted`
    num_units: int

    @property
    def num(self) -> int:
        """The number of resamples."""
        return len(next(iter(self.values.values()), ()))


def units_of(keys: Sequence[Hashable]) -> IntArray:
    """The unit of each row, [N], numbered from 0: rows with the same key are a unit, and each row without."""
    numbers: dict[Hashable, int] = {}
    units = [
        numbers.setdefault((row,) if key is None else ("key", key), len(numbers))
        for row, key in enumerate(keys)
    ]
    return np.array(units, np.int64)


def resampled(scores: Scores, unit_N: IntArray, rescore: Rescore, seed: int = 0) -> Resampled | None:
    """Resample the scores of rows that belong to units; None if there are too few units.

    `rescore` is only called for scores without `Scores.weighted`: these are computed for random halves of
    the units, whose scores vary as much as those of bootstrap resamples (delete-d jackknife with d = U / 2;
    Shao & Wu 1989), because the same row cannot be scored twice. Scores in `values` that `weighted` does not
    reproduce are computed in the same way.
    """
    num_units = int(unit_N.max()) + 1 if len(unit_N) else 0
    if num_units < FEWEST_UNITS:
        return None
    draw = np.random.default_rng(seed)
    values: dict[str, FloatArray] = {}
    if scores.weighted is not None:
        cells = max(len(unit_N), scores.cells)
        num = int(np.clip(_WORK // cells, LEAST, MOST))
        values = _computed(scores.weighted, drawn_weights(draw, num, unit_N, num_units))
    others = scores.values.keys() - values.keys()
    if not others:
        return Resampled(values, "bootstrap", num_units)
    halves = [rescore(_half(draw, unit_N, num_units)) for _ in range(_HALVES)]
    for name in others:
        of_halves = [half.get(name) for half in halves]
        values[name] = np.array([np.nan if value is None else value for value in of_halves], np.float64)
    return Resampled(values, "half-samples" if len(others) == len(values) else "bootstrap", num_units)


def intervals(scores: Scores, found: Resampled | None) -> dict[str, list[float] | None]:
    """The 95% interval of each score, as [low, high].

    None if the score is undefined in too many resamples, or the same in all of them, so that they do not show
    how much it varies.
    """
    if found is None:
        return {}
    return {
        name: interval(value, found.values.get(name))
        for name, value in scores.values.items()
        if value is not None
    }


def interval(value: float, resampled_R: FloatArray | None) -> list[float] | None:
    """The percentile interval of a score from its resamples; None as for `intervals`.

    It is extended to the score if that is outside: drawing rows with replacement shifts some scores, such as
    the average precision of labels with few rows.
    """
    if resampled_R is None or not math.isfinite(value):
        return None
    defined_R = resampled_R[np.isfinite(resampled_R)]
    if len(defined_R) < _DEFINED * len(resampled_R) or np.ptp(defined_R) == 0:
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined_R, (tail, 1 - tail))
    return [min(float(low), value), max(float(high), value)]


def drawn_weights(
    draw: np.random.Generator, num: int, unit_N: IntArray, num_units: int
) -> Iterator[FloatArray]:
    """The weights of the rows in `num` resamples of the units, in blocks of [R, N]."""
    return (_drawn(draw, count, num_units)[:, unit_N] for count in _blocks(num, len(unit_N)))


def _drawn(draw: np.random.Generator, count: int, num_units: int) -> FloatArray:
    """How often each unit is drawn in `count` resamples, [.., U]."""
    drawn = draw.integers(num_units, size=(count, num_units))
    drawn += np.arange(count)[:, None] * num_units
    counts = np.bincount(drawn.ravel(), minlength=count * num_units)
    return counts.reshape(count, num_units).astype(np.float64)


def _half(draw: np.random.Generator, unit_N: IntArray, num_units: int) -> list[int]:
    """The rows of a random half of the units."""
    is_kept_U = draw.permutation(num_units) < (num_units + 1) // 2
    rows: list[int] = np.flatnonzero(is_kept_U[unit_N]).tolist()
    return rows


def _computed(weighted: Weighted, blocks: Iterator[FloatArray]) -> dict[str, FloatArray]:
    found: dict[str, list[Any]] = {}
    for weights_RN in blocks:
        for name, each_R in weighted(weights_RN).items():
            found.setdefault(name, []).append(each_R)
    return {name: np.concatenate(each) for name, each in found.items()}


def _blocks(num: int, num_rows: int) -> Iterator[int]:
    """Sizes of blocks of resamples that add up to `num`."""
    size = max(_FEWEST_AT_ONCE, _CELLS // num_rows)
    return (min(size, num - start) for start in range(0, num, size))
