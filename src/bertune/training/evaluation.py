"""Evaluate the current model on a split, during training and at the end with the best weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bertune.metrics.calibration import MOST_TERMS, Terms
from bertune.metrics.scores import Scores
from bertune.predict.predictor import PredictionOutput, Predictor
from bertune.predict.torch_backend import TorchBackend
from bertune.tasks import Output
from bertune.text.sequences import Sequence
from bertune.training.encoded import EncodedSplit
from bertune.training.loop import TrainState
from bertune.training.outputs import Outputs


@dataclass(frozen=True)
class ScoredSplit:
    """Predictions and scores of a model on a split."""

    outcome: PredictionOutput  # the predictions, in the order of the examples, and the loss
    scores: Scores
    warnings: tuple[str, ...]  # problems of the predictions, such as collapse
    outputs: Outputs | None = None  # outputs of the model by example, if kept
    terms: Terms | None = None  # the outputs before temperature scaling, if they were asked for

    @property
    def values(self) -> dict[str, Any]:
        """The loss and all scores, by name."""
        return {"loss": self.outcome.loss, **self.scores.values}


def evaluate(
    state: TrainState,
    split: EncodedSplit,
    poll: Callable[[], None],
    keep_outputs: bool = False,
    with_terms: bool = False,
) -> ScoredSplit:
    """Predict and score a split. `poll` is called between batches and may raise an exception to stop.

    The outputs of the model, and the terms of temperature scaling, are collected in the same pass.

    Raises NonFiniteError if outputs are NaN or infinite.
    """
    fitted, examples = state.fitted, split.examples
    size = len(examples) * max(1, len(fitted.labels))
    kind = fitted.calibration_kind if with_terms and size <= MOST_TERMS else None
    is_plain = kind is None and not keep_outputs

    def decode(outputs: list[Output], sequences: list[Sequence], example: Any) -> Any:
        term = None if kind is None else fitted.calibration_terms(outputs, sequences, example)
        return fitted.decode(outputs, sequences, example), outputs if keep_outputs else None, term

    kept: Outputs = []
    terms: list[Any] = []
    backend = TorchBackend(state.model, fitted, state.machine)
    predictor = Predictor(fitted, backend, poll)
    if is_plain:
        outcome = predictor(examples, split.sequences)
    else:
        found = predictor(examples, split.sequences, decode)
        outcome = PredictionOutput([prediction for prediction, _, _ in found.predictions], found.loss)
        kept = [outputs for _, outputs, _ in found.predictions]
        terms = [term for _, _, term in found.predictions if term is not None]
    scores = fitted.score(outcome.predictions, examples)
    warnings = fitted.warnings(outcome.predictions, examples, split.sequences)
    return ScoredSplit(
        outcome,
        scores,
        tuple(warnings),
        kept if keep_outputs else None,
        Terms.of(kind, terms) if kind is not None and terms else None,
    )
