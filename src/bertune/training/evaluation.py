"""Evaluate the current model on a split, during training and at the end with the best weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bertune.metrics.calibration import Terms
from bertune.metrics.scores import Scores
from bertune.predict.predictor import PredictionOutput, Predictor
from bertune.predict.torch_backend import TorchBackend
from bertune.tasks import Output
from bertune.text.sequences import Sequence
from bertune.training.loop import TrainState
from bertune.training.preparing import EncodedSplit

_MOST_TERMS = 2**25  # outputs whose calibration is measured: 256 MB in fp64


@dataclass(frozen=True)
class ScoredSplit:
    """Predictions and scores of a model on a split."""

    outcome: PredictionOutput  # the predictions, in the order of the examples, and the loss
    scores: Scores
    warnings: tuple[str, ...]  # problems of the predictions, such as collapse
    terms: Terms | None = None  # the outputs before temperature scaling, if they were asked for

    @property
    def values(self) -> dict[str, Any]:
        """The loss and all scores, by name."""
        return {"loss": self.outcome.loss, **self.scores.values}


def evaluate(
    state: TrainState, split: EncodedSplit, poll: Callable[[], None], with_terms: bool = False
) -> ScoredSplit:
    """Predict and score a split. `poll` is called between batches and may raise an exception to stop.

    Raises NonFiniteError if outputs are NaN or infinite.
    """
    fitted, examples = state.fitted, split.examples
    outcome, terms = _outcome(state, split, poll, with_terms)
    scores = fitted.score(outcome.predictions, examples)
    warnings = fitted.warnings(outcome.predictions, examples, split.sequences)
    return ScoredSplit(outcome, scores, tuple(warnings), terms)


def _outcome(
    state: TrainState, split: EncodedSplit, poll: Callable[[], None], with_terms: bool
) -> tuple[PredictionOutput, Terms | None]:
    """The predictions, and in the same pass the terms of temperature scaling if they are asked for."""
    fitted = state.fitted
    predictor = Predictor(fitted, TorchBackend(state.model, fitted, state.machine), poll)
    kind = fitted.calibration_kind
    if not with_terms or kind is None or len(split.examples) * max(1, len(fitted.labels)) > _MOST_TERMS:
        return predictor(split.examples, split.sequences), None

    def decode(outputs: list[Output], sequences: list[Sequence], example: Any) -> Any:
        terms = fitted.calibration_terms(outputs, sequences, example)
        return fitted.decode(outputs, sequences, example), terms

    found = predictor(split.examples, split.sequences, decode)
    pairs = [terms for _, terms in found.predictions if terms is not None]
    outcome = PredictionOutput([prediction for prediction, _ in found.predictions], found.loss)
    return outcome, Terms.of(kind, pairs) if pairs else None
