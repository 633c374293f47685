"""Scores of slices of the rows, such as the shortest texts, compared with the other rows.

A slice is a weight of 0 or 1 for each row, so every score of a task can be computed for it
(`Scores.weighted`). Its score is compared with that of the rest on the same bootstrap resamples. With many
slices, some differ by chance: p values are corrected by Holm's method for all slices and scores of the list.

Dimensions: N rows, U units, R resamples.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray
from bertune.metrics.comparison import Difference, holm
from bertune.metrics.resampling import drawn_weights, interval
from bertune.metrics.scores import LOWER_IS_BETTER, Scores

LEAST_UNITS = 20  # in a slice and in the rest; scores of fewer rows vary too much to be compared
_MOST, _LEAST = 500, 60  # resamples; standard errors then vary by about 3% and 9%
_WORK = 2**26  # numbers computed in all resamples of all slices, which takes a few seconds
_SIGNIFICANT = 0.05  # after Holm's correction
_DEFINED = 0.5  # minimum fraction of resamples in which a score is defined


@dataclass(frozen=True)
class Slice:
    """Some of the rows."""

    kind: str  # what the rows have in common: length, label, the name of a column …
    name: str  # the value: "1 to 8 tokens", "yes" …
    is_in: NDArray[np.bool_]  # [N]


@dataclass(frozen=True)
class ScoredSlice:
    """The score of a slice, and the score of the other rows."""

    kind: str
    name: str
    rows: int
    value: float | None
    interval: list[float] | None
    rest: float | None
    difference: Difference | None  # slice minus rest; None if undefined
    p_holm: float | None
    verdict: str  # worse, better, or empty: no difference beyond chance


def score_slices(
    slices: Sequence[Slice], scores: Scores, unit_N: NDArray[np.int64], score: str, seed: int = 0
) -> list[ScoredSlice]:
    """Compare each slice with the rest by one score, the most clearly worse first.

    Rows of a unit are resampled together. Slices that are too small, or leave too few rows, are left out.
    Returns nothing for scores without `Scores.weighted`.
    """
    kept = [one for one in slices if _is_large(one, unit_N)]
    if scores.weighted is None or not kept:
        return []
    num_units, num_rows = int(unit_N.max()) + 1, len(unit_N)
    masks = [mask_N for one in kept for mask_N in (one.is_in, ~one.is_in)]
    values = [_value(scores.weighted(mask_N[None].astype(np.float64)), score) for mask_N in masks]
    num = int(np.clip(_WORK // (max(num_rows, scores.cells) * len(masks)), _LEAST, _MOST))
    resampled: list[list[FloatArray]] = [[] for _ in masks]
    for weights_RN in drawn_weights(np.random.default_rng(seed), num, unit_N, num_units):
        for found, mask_N in zip(resampled, masks, strict=True):
            found.append(scores.weighted(weights_RN * mask_N)[score])
    each = [np.concatenate(found) for found in resampled]
    differences = [
        _difference(values[2 * i], values[2 * i + 1], each[2 * i], each[2 * i + 1]) for i in range(len(kept))
    ]
    tested = [i for i, found in enumerate(differences) if found is not None]
    adjusted = dict(zip(tested, holm([_p(differences[i]) for i in tested]), strict=True))
    result = [
        ScoredSlice(
            kind=one.kind,
            name=one.name,
            rows=int(one.is_in.sum()),
            value=values[2 * i],
            interval=None if (value := values[2 * i]) is None else interval(value, each[2 * i]),
            rest=values[2 * i + 1],
            difference=differences[i],
            p_holm=adjusted.get(i),
            verdict=_verdict(differences[i], adjusted.get(i), score),
        )
        for i, one in enumerate(kept)
    ]
    sign = -1 if score in LOWER_IS_BETTER else 1
    rank = {"worse": 0, "": 1, "better": 2}
    return sorted(
        result,
        key=lambda one: (rank[one.verdict], sign * (one.difference.value if one.difference else math.inf)),
    )


def _is_large(one: Slice, unit_N: NDArray[np.int64]) -> bool:
    sizes = (len(np.unique(unit_N[side_N])) for side_N in (one.is_in, ~one.is_in))
    return min(sizes) >= LEAST_UNITS


def _value(found: Mapping[str, FloatArray], score: str) -> float | None:
    value = float(found[score][0])
    return value if math.isfinite(value) else None


def _difference(
    value: float | None, rest: float | None, value_R: FloatArray, rest_R: FloatArray
) -> Difference | None:
    """The difference with a normal 95% interval and p value, from the standard error of the resamples.

    A percentile of the resamples could not reach the small p values that many slices need.
    """
    changes_R = value_R - rest_R
    defined_R = changes_R[np.isfinite(changes_R)]
    if value is None or rest is None or len(defined_R) < _DEFINED * len(changes_R):
        return None
    error = float(defined_R.std(ddof=1))
    if error == 0:
        return None
    change = value - rest
    p = math.erfc(abs(change) / error / math.sqrt(2))
    return Difference(change, change - 1.96 * error, change + 1.96 * error, p)


def _p(found: Difference | None) -> float:
    return 1.0 if found is None else found.p


def _verdict(found: Difference | None, p_holm: float | None, score: str) -> str:
    if found is None or p_holm is None or p_holm >= _SIGNIFICANT:
        return ""
    return "better" if (found.value < 0) == (score in LOWER_IS_BETTER) else "worse"


def quartiles(kind: str, values_N: NDArray[Any], unit: str = "") -> list[Slice]:
    """Four slices of about equal size by a number; fewer if many rows have the same one."""
    edges = np.unique(np.quantile(values_N, (0.25, 0.5, 0.75), method="lower"))
    at_N = np.searchsorted(edges, values_N, side="left")
    found = []
    for number in np.unique(at_N).tolist():
        is_in_N = at_N == number
        low, high = (f"{value:,.6g}" for value in (values_N[is_in_N].min(), values_N[is_in_N].max()))
        name = low if low == high else f"{low} to {high}"
        found.append(Slice(kind, f"{name} {unit}".strip(), is_in_N))
    return found if len(found) > 1 else []


def by_value(kind: str, names: Sequence[Iterable[str]], most: int) -> list[Slice]:
    """A slice for each value that rows have, for the `most` frequent ones; rows can have several."""
    rows: dict[str, list[int]] = {}
    for row, values in enumerate(names):
        for value in dict.fromkeys(values):
            rows.setdefault(value, []).append(row)
    found = []
    for value in sorted(rows, key=lambda value: -len(rows[value]))[:most]:
        is_in_N = np.zeros(len(names), bool)
        is_in_N[rows[value]] = True
        found.append(Slice(kind, value, is_in_N))
    return found
