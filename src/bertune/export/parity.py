"""Compare the predictions and scores of an export with those of the trained model.

Predictions are compared as plain JSON, so the same functions serve every task, and `verify` can compare with
stored predictions.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

from bertune.errors import counted
from bertune.export.formats import Tolerance
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.tasks.optional import without_fractions

Line = Mapping[str, Any]  # a prediction as plain JSON
Scores = Mapping[str, float | None]
_MOST_FLIPPED = 20  # flipped rows that are listed


@dataclass(frozen=True)
class Results:
    """The predictions of a model for some rows, and their scores."""

    lines: SequenceOf[Line]
    scores: Scores
    primary: str  # the score that must not get worse


@dataclass(frozen=True)
class Comparison:
    """How far an export differs from the trained model."""

    rows: int
    largest_difference: float  # in a predicted number; relative for numbers above 1
    largest_difference_at: str | None  # where its row was read, as in "dev.csv, line 3"; None without any
    flips: int  # rows whose label, entities or answer differ
    flipped: tuple[str, ...]  # where the first of them were read
    score_loss: float  # by how much the primary score is worse; negative if it is better
    scores: Mapping[str, tuple[float | None, float | None]]  # (trained model, export) by score

    @property
    def flip_share(self) -> float:
        return self.flips / self.rows if self.rows else 0.0


def compare(
    expected: Results, found: Results, places: SequenceOf[str], decision: Callable[[Line], Any]
) -> Comparison:
    """Compare row by row; `places` say where each row was read.

    `decision` is the part of a prediction that a user acts on, as in `FittedTask`.
    """
    largest, at, flipped = 0.0, None, []
    for place, first, second in zip(places, expected.lines, found.lines, strict=True):
        if decision(first) != decision(second):
            flipped.append(place)
        difference = max(differences(first, second), default=0.0)
        if difference > largest:
            largest, at = difference, place
    return Comparison(
        rows=len(expected.lines),
        largest_difference=largest,
        largest_difference_at=at,
        flips=len(flipped),
        flipped=tuple(flipped[:_MOST_FLIPPED]),
        score_loss=score_loss(expected, found),
        scores={name: (value, found.scores.get(name)) for name, value in expected.scores.items()},
    )


def differences(first: Any, second: Any) -> Iterator[float]:
    """The differences of numbers with a fraction at the same place, relative to the larger one if above 1.

    Numbers without a counterpart are skipped, such as the score of an entity that only one side predicts:
    such a row is a flip. Items of lists correspond if everything but their fractions is equal.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in first.keys() & second.keys():
            yield from differences(first[key], second[key])
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) == len(second):
            for one, other in zip(first, second, strict=True):
                if without_fractions(one) == without_fractions(other):
                    yield from differences(one, other)
    elif isinstance(first, float) and isinstance(second, float):
        difference = abs(first - second)
        # Of infinite scores, and of NaN, which predictions do not have.
        difference = difference if math.isfinite(difference) else 0.0 if first == second else math.inf
        yield difference / max(1.0, abs(first), abs(second)) if math.isfinite(difference) else difference


def score_loss(expected: Results, found: Results) -> float:
    """By how much the primary score is worse, relative to scores above 1; 0 if it is undefined for both."""
    name = expected.primary
    before, after = expected.scores.get(name), found.scores.get(name)
    if before is None or after is None:
        return 0.0 if before is after else math.inf
    worse = after - before if name in LOWER_IS_BETTER else before - after
    return worse / max(1.0, abs(before), abs(after))


def problems(comparison: Comparison, tolerance: Tolerance, primary: str) -> list[str]:
    """The differences that exceed the tolerance, each with the setting that limits it."""
    found = []
    if not comparison.largest_difference <= tolerance.difference:
        found.append(
            f"a predicted number differs by {comparison.largest_difference:.2g} in "
            f"{comparison.largest_difference_at} (export.max_difference={tolerance.difference:g})"
        )
    if not comparison.flip_share <= tolerance.flips:
        found.append(
            f"{comparison.flips:,} of {counted(comparison.rows, 'prediction')} differ, first in "
            f"{comparison.flipped[0]} (export.max_flips={tolerance.flips:g})"
        )
    if not comparison.score_loss <= tolerance.score_loss:
        before, after = comparison.scores[primary]
        verb = "rises" if primary in LOWER_IS_BETTER else "falls"
        found.append(
            f"{primary} {verb} from {_shown(before)} to {_shown(after)} "
            f"(export.max_score_loss={tolerance.score_loss:g})"
        )
    return found


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
