"""Intervals of the scores of a task, resampled by the groups of its examples."""

from collections.abc import Hashable
from collections.abc import Sequence as SequenceOf
from typing import Any

from bertune.metrics import resampling
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask


def group_keys(fitted: FittedTask, examples: SequenceOf[Any]) -> list[Hashable]:
    """The key of the rows that are resampled together with each example; None for an independent row."""
    return [fitted.task.group_key(example) for example in examples]


def score_intervals(
    fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any], scores: Scores
) -> dict[str, Any]:
    """The 95 % intervals of the scores, as plain JSON: see `bertune.manifest.IntervalsRecord`."""
    keys = group_keys(fitted, examples)

    def rescore(rows: SequenceOf[int]) -> dict[str, float | None]:
        return fitted.score([predictions[i] for i in rows], [examples[i] for i in rows]).values

    found = resampling.resampled(scores, resampling.units_of(keys), rescore)
    return {
        "level": resampling.LEVEL,
        "method": found.method if found else None,
        "resamples": found.num if found else 0,
        "units": found.num_units if found else len({*keys} - {None}) + keys.count(None),
        "is_grouped": any(key is not None for key in keys),
        "scores": resampling.intervals(scores, found),
    }
