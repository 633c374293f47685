"""Compare the predictions and scores of an export with those of the trained model.

Predictions are compared as plain JSON, so the same functions serve every task, and `verify` can compare with
stored predictions.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

from bertune.export.formats import Tolerance
from bertune.metrics.scores import LOWER_IS_BETTER

Line = Mapping[str, Any]  # a prediction as plain JSON
Scores = Mapping[str, float | None]
_MOST_FLIPPED = 20  # flipped rows that are listed


@dataclass(frozen=True)
class Results:
    """The predictions of a model for some rows, and their scores."""

    lines: SequenceOf[Line]
    scores: Scores
    primary: str  # the score that selects checkpoints


@dataclass(frozen=True)
class Comparison:
    """How far an export differs from the trained model."""

    rows: int
    largest_difference: float  # of a predicted number, relative for numbers above 1
    largest_difference_row: int  # its row, from 0
    flips: int  # rows whose label, entities or answer differ
    flipped_rows: tuple[int, ...]  # the first of them, from 0
    score_loss: float  # by how much the primary score is worse; negative if it is better
    scores: Mapping[str, tuple[float | None, float | None]]  # of the trained model and of the export

    @property
    def flip_share(self) -> float:
        return self.flips / self.rows if self.rows else 0.0


def compare(expected: Results, found: Results, decision: Callable[[Line], Any]) -> Comparison:
    """Compare row by row. `decision` is the part of a prediction that a user acts on, as in `FittedTask`."""
    largest, at, flipped = 0.0, 0, []
    for row, (first, second) in enumerate(zip(expected.lines, found.lines, strict=True)):
        if decision(first) != decision(second):
            flipped.append(row)
        difference = max(differences(first, second), default=0.0)
        if difference > largest:
            largest, at = difference, row
    return Comparison(
        rows=len(expected.lines),
        largest_difference=largest,
        largest_difference_row=at,
        flips=len(flipped),
        flipped_rows=tuple(flipped[:_MOST_FLIPPED]),
        score_loss=score_loss(expected, found),
        scores={name: (value, found.scores.get(name)) for name, value in expected.scores.items()},
    )


def differences(first: Any, second: Any) -> Iterator[float]:
    """The differences of all numbers at the same place, relative to the larger one if it is above 1.

    Parts without a counterpart, such as an entity that only one side predicts, are skipped: they are flips.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in first.keys() & second.keys():
            yield from differences(first[key], second[key])
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) == len(second):
            for one, other in zip(first, second, strict=True):
                yield from differences(one, other)
    elif _is_number(first) and _is_number(second):
        difference = abs(first - second)
        yield difference / max(1.0, abs(first), abs(second)) if difference else 0.0


def score_loss(expected: Results, found: Results) -> float:
    """By how much the primary score is worse, relative to scores above 1; 0 if it is undefined for both."""
    name = expected.primary
    before, after = expected.scores.get(name), found.scores.get(name)
    if before is None or after is None:
        return 0.0 if before is after else float("inf")
    worse = after - before if name in LOWER_IS_BETTER else before - after
    return worse / max(1.0, abs(before), abs(after))


def problems(comparison: Comparison, tolerance: Tolerance, primary: str) -> list[str]:
    """What exceeds the tolerance, each with the setting that allows more."""
    found = []
    if not comparison.largest_difference <= tolerance.difference:
        found.append(
            f"a predicted number differs by {comparison.largest_difference:.2g} in row "
            f"{comparison.largest_difference_row + 1} (export.max_difference={tolerance.difference:g})"
        )
    if not comparison.flip_share <= tolerance.flips:
        found.append(
            f"{comparison.flips:,} of {comparison.rows:,} predictions differ, first in row "
            f"{comparison.flipped_rows[0] + 1} (export.max_flips={tolerance.flips:g})"
        )
    if not comparison.score_loss <= tolerance.score_loss:
        before, after = comparison.scores[primary]
        found.append(
            f"{primary} falls from {_shown(before)} to {_shown(after)} "
            f"(export.max_score_loss={tolerance.score_loss:g})"
        )
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
