"""Evaluate the current model on a split, during training and at the end with the best weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bertune.metrics.scores import Scores
from bertune.predict.predictor import PredictionOutput, Predictor
from bertune.predict.torch_backend import TorchBackend
from bertune.tasks import Output
from bertune.text.sequences import Sequence
from bertune.training.loop import TrainState
from bertune.training.outputs import Outputs
from bertune.training.preparing import EncodedSplit


@dataclass(frozen=True)
class ScoredSplit:
    """Predictions and scores of a model on a split."""

    outcome: PredictionOutput  # the predictions, in the order of the examples, and the loss
    scores: Scores
    warnings: tuple[str, ...]  # problems of the predictions, such as collapse
    outputs: Outputs | None = None  # of the model, by example, if they are kept

    @property
    def values(self) -> dict[str, Any]:
        """The loss and all scores, by name."""
        return {"loss": self.outcome.loss, **self.scores.values}


def evaluate(
    state: TrainState, split: EncodedSplit, poll: Callable[[], None], keep_outputs: bool = False
) -> ScoredSplit:
    """Predict and score a split. `poll` is called between batches and may raise an exception to stop.

    Raises NonFiniteError if outputs are NaN or infinite.
    """
    kept: Outputs = []

    def decode(outputs: list[Output], sequences: list[Sequence], example: Any) -> Any:
        kept.append(outputs)
        return fitted.decode(outputs, sequences, example)

    fitted, examples = state.fitted, split.examples
    backend = TorchBackend(state.model, fitted, state.machine)
    predictor = Predictor(fitted, backend, poll)
    outcome = predictor(examples, split.sequences, decode if keep_outputs else None)
    scores = fitted.score(outcome.predictions, examples)
    warnings = fitted.warnings(outcome.predictions, examples, split.sequences)
    return ScoredSplit(outcome, scores, tuple(warnings), kept if keep_outputs else None)
