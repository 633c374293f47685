"""Resamples and intervals of the scores of a task, by the groups of its examples."""

import hashlib
from collections.abc import Hashable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

from bertune.metrics import resampling
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask


@dataclass(frozen=True)
class Rescored:
    """Scores with their resamples, which are None if there are too few rows, and their 95% intervals."""

    scores: Mapping[str, float | None]
    resampled: resampling.Resampled | None
    intervals: Mapping[str, list[float] | None]


def group_keys(fitted: FittedTask, examples: SequenceOf[Any]) -> list[Hashable]:
    """The key of the rows that are resampled together with each example; None for an independent row."""
    return [fitted.task.group_key(example) for example in examples]


def rescored(
    fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any], scores: Scores
) -> Rescored:
    """The scores with their resamples; those of other predictions for the same examples are paired."""

    def rescore(rows: SequenceOf[int]) -> dict[str, float | None]:
        return fitted.score([predictions[i] for i in rows], [examples[i] for i in rows]).values

    units = resampling.units_of(group_keys(fitted, examples))
    found = resampling.resampled(scores, units, rescore)
    return Rescored(scores.values, found, resampling.intervals(scores, found))


def intervals_record(fitted: FittedTask, examples: SequenceOf[Any], found: Rescored) -> dict[str, Any]:
    """The 95% intervals of the scores, as plain JSON: see `bertune.manifest.IntervalsRecord`."""
    keys, resampled = group_keys(fitted, examples), found.resampled
    return {
        "level": resampling.LEVEL,
        "method": resampled.method if resampled else None,
        "resamples": resampled.num if resampled else 0,
        "units": resampled.num_units if resampled else len({*keys} - {None}) + keys.count(None),
        "is_grouped": any(key is not None for key in keys),
        "units_sha256": hashlib.sha256(resampling.units_of(keys).tobytes()).hexdigest(),
        "scores": dict(found.intervals),
    }
