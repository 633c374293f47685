"""Checkpoint selection: the metric, and when one evaluation is better than another.

Validation scores of successive evaluations differ by chance, and the best of several is partly luck.
Therefore a later checkpoint is selected unless an earlier one is better by more than this noise. The noise is
estimated from paired differences with a delete-a-group jackknife over the validation rows (Kott 2001).
Dimensions: G groups of rows.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bertune.errors import ConfigError, did_you_mean
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.tasks import FittedTask

_GROUPS = 10  # jackknife groups: few enough to be cheap, enough for a rough standard error


@dataclass(frozen=True)
class Ranked:
    """The score of an evaluation, for comparison with others."""

    step: int
    value: float | None
    without: tuple[float | None, ...] = ()  # [G] scores with one group of rows left out

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Restore from the plain JSON of a checkpoint."""
        return cls(stored["step"], stored["value"], tuple(stored["without"]))


def best_metric(setting: str, fitted: FittedTask) -> str:
    """The metric that selects the best checkpoint. Raises ConfigError if the task does not have it."""
    task = fitted.task
    name: str = task.primary if setting == "auto" else setting
    if name not in (*task.scores, "loss"):
        names = ("loss", *task.scores)
        raise ConfigError(
            f"train.best_metric={setting}: this task has no such metric.{did_you_mean(setting, names)} Set "
            f"it to auto or one of {', '.join(names)}"
        )
    if name == "loss" and not fitted.has_validation_loss:
        raise ConfigError(
            "train.best_metric=loss: this loss depends on the other examples of a batch, so it is not "
            f"computed on the validation split. Use one of {', '.join(task.scores)}"
        )
    return name


def beats(value: float | None, best: float | None, score: str) -> bool:
    """Whether an evaluation is better than the best one so far, by the metric `score`.

    An undefined value (None or NaN) is never better than a defined one. As long as no value is defined, the
    latest evaluation counts as the best, because its weights were trained longest.
    """
    if not _is_defined(value):
        return not _is_defined(best)
    if not _is_defined(best):
        return True
    assert value is not None and best is not None
    return value < best if score in LOWER_IS_BETTER else value > best


def is_clearly_better(earlier: Ranked, later: Ranked, score: str, margin: float) -> bool:
    """Whether an earlier evaluation is better than a later one by more than `margin` standard errors.

    Without leave-out scores there is no standard error, and any difference counts.
    """
    if not beats(earlier.value, later.value, score):
        return False
    pairs = list(zip(earlier.without, later.without, strict=False))
    if not pairs or later.value is None or earlier.value is None:
        return True
    if not all(_is_defined(value) for pair in pairs for value in pair):
        return True
    differences_G = np.array(pairs, float) @ (1.0, -1.0)
    variance = (len(pairs) - 1) / len(pairs) * float(np.square(differences_G - differences_G.mean()).sum())
    return abs(earlier.value - later.value) > margin * math.sqrt(variance)


def scores_without(
    fitted: FittedTask,
    predictions: Sequence[Any],
    examples: Sequence[Any],
    score: str,
    groups: Sequence[Hashable] = (),
) -> tuple[float | None, ...]:
    """The score [G] with each of G random groups of rows left out; rows of one group stay together.

    `groups` has the group of each row, None for an independent row; by default, the group keys of the task.
    Empty for the loss, which is not computed from predictions, and if there are too few rows.
    """
    keys = groups or [fitted.task.group_key(example) for example in examples]
    names = [("row", row) if key is None else ("key", key) for row, key in enumerate(keys)]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if score == "loss" or len(order) < 2 * _GROUPS:
        return ()
    # The same groups at every evaluation, so that differences are paired.
    group_of = np.random.default_rng(0).permutation(len(order)) % _GROUPS
    groups_N = np.array([group_of[order[name]] for name in names])
    values = []
    for group in range(_GROUPS):
        kept = np.flatnonzero(groups_N != group).tolist()
        scores = fitted.score([predictions[i] for i in kept], [examples[i] for i in kept])
        values.append(scores.values.get(score))
    return tuple(None if value is None else float(value) for value in values)


def _is_defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
