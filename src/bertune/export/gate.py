"""The gate: an export is accepted only if it reproduces the results of the trained model."""

import statistics
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, replace
from typing import Any

from bertune.errors import DataError, GateError, ModelError, NonFiniteError
from bertune.export.formats import Tolerance
from bertune.export.parity import Comparison, Results, compare, problems
from bertune.predict.backend import Backend
from bertune.predict.model import Model
from bertune.predict.predictor import Predictor, plain
from bertune.tasks import FittedTask
from bertune.text.sequences import Sequence

_MOST_TIMED = 200  # rows that are predicted to measure speed
_SINGLE_ROWS = 20  # rows that are predicted one by one


@dataclass(frozen=True)
class Examples:
    """Labelled examples of a model, tokenized."""

    fitted: FittedTask  # which decodes and scores them
    examples: list[Any]
    sequences: list[Sequence]

    @classmethod
    def of(cls, model: Model, examples: list[Any]) -> "Examples":
        """Tokenize examples. Raises DataError, ModelError."""
        fitted = model.fitted.for_scoring(examples)
        return cls(fitted, examples, replace(model.encoder, fitted=fitted)(examples))

    @property
    def places(self) -> list[str]:
        """The location of each example, such as a file and line."""
        return [str(example.origin) for example in self.examples]

    def results(self, backend: Backend, primary: str) -> Results:
        """The predictions of a network and their scores. Raises NonFiniteError."""
        predictions = Predictor(self.fitted, backend)(self.examples, self.sequences).predictions
        scores = self.fitted.score(predictions, self.examples)
        return Results([plain(prediction) for prediction in predictions], scores.values, primary)


@dataclass(frozen=True)
class Gate:
    """The results of the trained model, which an export must give within a tolerance."""

    examples: list[Any]
    expected: Results
    tolerance: Tolerance

    def comparison(self, found: Results, fitted: FittedTask, places: SequenceOf[str]) -> Comparison:
        """The differences between these results and those of an export."""
        return compare(self.expected, found, places, fitted.decision)

    def problems(self, comparison: Comparison) -> list[str]:
        """The differences that exceed the tolerance."""
        return problems(comparison, self.tolerance, self.expected.primary)

    def passed(self, name: str, model: Model) -> Comparison:
        """Compare an export with the trained model. `name` is the name of the format or of its folder.

        Raises GateError if a difference exceeds the tolerance, or if the export cannot predict at all.
        """
        try:
            tokenized = Examples.of(model, self.examples)
            found = tokenized.results(model.backend, self.expected.primary)
        except (DataError, ModelError, NonFiniteError) as error:
            raise GateError(f"{name}: the export cannot predict the validation rows. {error}") from error
        comparison = self.comparison(found, model.fitted, tokenized.places)
        wrong = self.problems(comparison)
        if wrong:
            raise GateError(refusal(name, wrong))
        return comparison


def refusal(name: str, wrong: SequenceOf[str]) -> str:
    """The message for an export that exceeds its tolerance."""
    return (
        f"{name}: the export does not reproduce the results of the trained model: {'; '.join(wrong)}. The "
        "setting in parentheses is the limit"
    )


@dataclass(frozen=True)
class Speed:
    """The speed of a model on this machine, measured on validation rows."""

    rows_per_second: float  # all rows at once
    milliseconds_per_row: float  # median of single rows
    precision: str  # precision of matrix products


def measure_speed(model: Model, examples: SequenceOf[Any]) -> Speed:
    """Predict some examples together and some one by one. The first pass is not timed."""
    some = list(examples[:_MOST_TIMED])
    _predict(model, some)
    started = time.perf_counter()
    _predict(model, some)
    together = time.perf_counter() - started
    single = []
    for example in some[:_SINGLE_ROWS]:
        started = time.perf_counter()
        _predict(model, [example])
        single.append(time.perf_counter() - started)
    return Speed(
        round(len(some) / together, 1),
        round(1000 * statistics.median(single), 2),
        model.backend.runtime.precision,
    )


def _predict(model: Model, examples: list[Any]) -> None:
    Predictor(model.fitted, model.backend)(examples, model.encoder(examples))


def as_json(comparison: Comparison, gate: Gate) -> dict[str, Any]:
    """The comparison as it is stored in parity.json."""
    facts = asdict(comparison)
    scores = facts.pop("scores")
    return {
        **facts,
        "flipped": list(comparison.flipped),
        "flip_share": comparison.flip_share,
        "tolerance": asdict(gate.tolerance),
        "primary": gate.expected.primary,
        "scores": {name: {"model": pair[0], "export": pair[1]} for name, pair in scores.items()},
    }
