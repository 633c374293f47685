"""Evaluation of a trained model on labelled examples."""

from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from typing import Any

from bertune.metrics.calibration import MOST_TERMS, Terms, measure
from bertune.metrics.limitations import limitation_texts
from bertune.predict.deciding import with_decisions
from bertune.predict.predictor import PredictionOutput, Predictor
from bertune.predict.results import Evaluation, Labelled
from bertune.predict.writers import prediction_lines
from bertune.tasks import Output
from bertune.tasks.parts.score_intervals import intervals_record, rescored
from bertune.text.sequences import Sequence


def evaluated(found: Labelled, predictor: Predictor) -> Evaluation:
    """Predictions of labelled examples, their scores with intervals, and the effect of the decision rule."""
    fitted, examples, sequences = found.fitted, found.examples, found.sequences
    output, terms = _with_terms(replace(predictor, fitted=fitted), examples, sequences)
    scores = fitted.score(output.predictions, examples)
    files = fitted.extra_prediction_files(examples, output.predictions)
    details, decision = with_decisions(scores.details, fitted, output.predictions, examples)
    return Evaluation(
        scores=scores.values,
        details=details,
        num_examples=len(examples),
        num_truncated=len({s.group for s in sequences if s.num_removed}),
        loss=output.loss,
        lines=list(prediction_lines(examples, output.predictions)),
        files={suffix: list(lines) for suffix, lines in files.items()},
        intervals=intervals_record(fitted, examples, rescored(fitted, output.predictions, examples, scores)),
        noun=str(fitted.task.noun),
        notes=found.notes,
        decision=decision,
        calibration=None if terms is None else measure(terms, fitted.calibration).plain(),
        warnings=(*found.warnings, *limitation_texts(fitted.limitations(examples, sequences))),
    )


def _with_terms(
    predictor: Predictor, examples: SequenceOf[Any], sequences: SequenceOf[Sequence]
) -> tuple[PredictionOutput, Terms | None]:
    """The predictions, and the terms of calibration if the task has them and they are not too many."""
    fitted = predictor.fitted
    kind = fitted.calibration_kind
    if kind is None or len(examples) * max(1, len(fitted.labels)) > MOST_TERMS:
        return predictor(examples, sequences), None

    def decode(outputs: list[Output], sequences: list[Sequence], example: Any) -> tuple[Any, Any]:
        term = fitted.calibration_terms(outputs, sequences, example)
        return fitted.decode(outputs, sequences, example), term

    found = predictor(examples, sequences, decode)
    terms = [term for _, term in found.predictions if term is not None]
    predictions = [prediction for prediction, _ in found.predictions]
    return PredictionOutput(predictions, found.loss), Terms.of(kind, terms) if terms else None
