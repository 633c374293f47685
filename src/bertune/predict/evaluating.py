"""Evaluation of a trained model on labelled examples."""

from dataclasses import replace

from bertune.metrics.limitations import limitation_texts
from bertune.predict.deciding import with_decisions
from bertune.predict.predictor import Predictor
from bertune.predict.results import Evaluation, Labelled
from bertune.predict.writers import prediction_lines
from bertune.tasks.parts.score_intervals import intervals_record, rescored


def evaluated(found: Labelled, predictor: Predictor) -> Evaluation:
    """The predictions of labelled examples, their scores with intervals, and what the decision rule does."""
    fitted, examples, sequences = found.fitted, found.examples, found.sequences
    output = replace(predictor, fitted=fitted)(examples, sequences)
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
        warnings=tuple(limitation_texts(fitted.limitations(examples, sequences))),
    )
