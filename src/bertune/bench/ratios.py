"""Statistics of paired measurements: ratios per round, their median and its confidence interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bertune.bench.runner import Round

_RESAMPLES = 10_000
HIGHER_IS_BETTER = {"examples_per_second": True, "wall_seconds": False, "peak_rss_mb": False}


@dataclass(frozen=True)
class Summary:
    """A median with its bootstrap 95% interval, which has zero width for a single value."""

    median: float
    low: float
    high: float
    count: int

    def as_json(self) -> dict[str, Any]:
        """JSON values, rounded to four decimals."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def summary(values: Sequence[float]) -> Summary:
    """The median and its bootstrap percentile interval. Raises ValueError if there are no values."""
    if not values:
        raise ValueError("no values to summarize")
    known = np.asarray(values, dtype=float)
    draws = np.random.default_rng(0).choice(known, size=(_RESAMPLES, len(known)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return Summary(float(np.median(known)), float(low), float(high), len(known))


def by_round(rounds: Sequence[Round], key: str, metric: str) -> dict[int, float]:
    """A contestant's values by round, for the rounds in which it has one."""
    found = {r.number: r.outcomes[key].value(metric) for r in rounds if key in r.outcomes}
    return {number: value for number, value in found.items() if value is not None}


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float], metric: str) -> dict[str, Any] | None:
    """The ratio of two contestants, paired by round; None if no round has both.

    For rates and times it is the speedup of `ours`; for memory it is `ours / theirs`, so lower is better.
    `best` compares the best round of each side, which is least affected by other load on the machine.
    """
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    is_time = metric.endswith("seconds")
    per_round = [theirs[n] / ours[n] if is_time else ours[n] / theirs[n] for n in shared]
    choose = max if HIGHER_IS_BETTER[metric] else min
    best_ours, best_theirs = choose(ours[n] for n in shared), choose(theirs[n] for n in shared)
    best = best_theirs / best_ours if is_time else best_ours / best_theirs
    return {
        **summary(per_round).as_json(),
        "best": round(best, 4),
        "rounds": {str(n): round(value, 4) for n, value in zip(shared, per_round, strict=True)},
    }
