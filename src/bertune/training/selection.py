"""Which checkpoint is kept: the score that decides it, and what counts as better.

Validation scores of neighbouring evaluations differ by chance, and the best of several is picked for its luck
too. Therefore the later checkpoint is kept unless an earlier one is better by more than that noise, which is
estimated from their paired differences: a delete-a-group jackknife over the validation rows (Kott 2001).
Dimensions: G groups of rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bertune.errors import ConfigError, did_you_mean
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.tasks import FittedTask

_GROUPS = 10


@dataclass(frozen=True)
class Ranked:
    """An evaluation as it is compared with others."""

    step: int
    value: float | None
    without: tuple[float | None, ...] = ()  # [G] the score of all rows but those of one group

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From the plain JSON of a checkpoint."""
        return cls(stored["step"], stored["value"], tuple(stored["without"]))


def best_metric(wanted: str, fitted: FittedTask) -> str:
    """The score that picks the weights kept. Raises ConfigError for one the task does not have."""
    task = fitted.task
    name: str = task.primary if wanted == "auto" else wanted
    if name not in (*task.scores, "loss"):
        names = ("loss", *task.scores)
        raise ConfigError(
            f"train.best_metric={wanted}: this task has no such score.{did_you_mean(wanted, names)} Set it "
            f"to auto or one of {', '.join(names)}"
        )
    if name == "loss" and not fitted.has_validation_loss:
        raise ConfigError(
            "train.best_metric=loss: this loss depends on which examples are learned from together, so "
            f"there is none on the validation data. There are: {', '.join(task.scores)}"
        )
    return name


def beats(value: float | None, best: float | None, score: str) -> bool:
    """Whether an evaluation beats the best one before it, by the score that selects the checkpoint.

    An undefined score, None or NaN, never beats a defined one. While none has been defined, the latest
    evaluation counts as the best: its weights have been trained longest.
    """
    if not _is_defined(value):
        return not _is_defined(best)
    if not _is_defined(best):
        return True
    assert value is not None and best is not None
    return value < best if score in LOWER_IS_BETTER else value > best


def is_clearly_better(earlier: Ranked, later: Ranked, score: str, margin: float) -> bool:
    """Whether an earlier evaluation beats a later one by more than `margin` standard errors.

    Without the scores that tell how much chance there is, any difference counts.
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
    fitted: FittedTask, predictions: Sequence[Any], examples: Sequence[Any], score: str
) -> tuple[float | None, ...]:
    """The score [G] with each of G random groups of rows left out; rows with one group key stay together.

    Empty for the loss, which is not a score of predictions, and where there are too few rows.
    """
    keys = [fitted.task.group_key(example) for example in examples]
    names = [("row", row) if key is None else ("key", key) for row, key in enumerate(keys)]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if score == "loss" or len(order) < 2 * _GROUPS:
        return ()
    # The same groups at every evaluation, so that differences are paired.
    group_of = np.random.default_rng(0).permutation(len(order)) % _GROUPS
    groups_N = np.array([group_of[order[name]] for name in names])
    found = []
    for group in range(_GROUPS):
        kept = np.flatnonzero(groups_N != group).tolist()
        some = fitted.score([predictions[i] for i in kept], [examples[i] for i in kept])
        found.append(some.values.get(score))
    return tuple(None if value is None else float(value) for value in found)


def _is_defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
