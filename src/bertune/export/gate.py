"""The gate: an export is accepted only if it gives the results of the trained model."""

import statistics
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass
from typing import Any

from bertune.errors import GateError
from bertune.export.formats import Tolerance
from bertune.export.parity import Comparison, Results, compare, problems
from bertune.export.reference import Values, results_of
from bertune.predict.model import Model

_MOST_TIMED = 200  # rows that are predicted to measure speed
_SINGLE_ROWS = 20  # rows that are predicted one by one


@dataclass(frozen=True)
class Speed:
    """The speed of a model on this machine, measured on validation rows."""

    rows_per_second: float  # of all rows at once
    milliseconds_per_row: float  # of one row at a time, median


@dataclass(frozen=True)
class Passed:
    """The comparison of an export that is within its tolerance, and the results of both models."""

    comparison: Comparison
    tolerance: Tolerance
    expected: Results
    found: Results


def pass_gate(
    name: str, expected: Results, model: Model, rows: SequenceOf[Values], allowed: Tolerance
) -> Passed:
    """Compare an export with the results of the trained model for the same rows.

    Raises GateError if a difference exceeds what is `allowed`.
    """
    found = results_of(model, rows)
    comparison = compare(expected, found, model.fitted.decision)
    wrong = problems(comparison, allowed, expected.primary)
    if wrong:
        raise GateError(
            f"{name}: the export does not give the results of the trained model: {'; '.join(wrong)}. The "
            "setting in parentheses is the limit"
        )
    return Passed(comparison, allowed, expected, found)


def measure_speed(model: Model, rows: SequenceOf[Values]) -> Speed:
    """Predict some rows together and some one by one. The first pass is not timed."""
    some = list(rows[:_MOST_TIMED])
    model.predict(some)
    started = time.perf_counter()
    model.predict(some)
    together = time.perf_counter() - started
    single = []
    for row in some[:_SINGLE_ROWS]:
        started = time.perf_counter()
        model.predict([row])
        single.append(time.perf_counter() - started)
    return Speed(round(len(some) / together, 1), round(1000 * statistics.median(single), 2))


def as_json(passed: Passed) -> dict[str, Any]:
    """The comparison as it is stored in parity.json."""
    facts = asdict(passed.comparison)
    scores = facts.pop("scores")
    return {
        **facts,
        "flip_share": passed.comparison.flip_share,
        "tolerance": asdict(passed.tolerance),
        "primary": passed.expected.primary,
        "scores": {name: {"model": pair[0], "export": pair[1]} for name, pair in scores.items()},
    }
