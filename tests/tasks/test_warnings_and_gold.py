"""Equal predictions for all examples cause a warning, unless the gold is the same for all examples, too."""

from typing import Any

import pytest

from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.tasks import Task, make_task
from bertune.tasks.classification import task as classification
from bertune.tasks.multilabel import task as multilabel
from bertune.tasks.multiple_choice import task as choice
from bertune.tasks.question_answering import task as qa
from bertune.tasks.regression import task as regression

WHERE = Origin("dev.csv", 1)


def made(name: str, **options: Any) -> Task:
    return make_task(TaskConfig(name=name, **options))


def asked(gold: int) -> choice.Example:
    return choice.Example("1", WHERE, ("q", "a | b"), "", "q", ("a", "b"), gold)


CASES = {
    "classification": (
        classification.LabelPrediction("a", {"a": 0.9, "b": 0.1}),
        classification.Example("1", WHERE, ("t",), "a"),
        classification.Example("2", WHERE, ("t",), "b"),
    ),
    "multilabel": (
        multilabel.LabelsPrediction([], {"a": 0.1}),
        multilabel.Example("1", WHERE, ("t",), ()),
        multilabel.Example("2", WHERE, ("t",), ("a",)),
    ),
    "question_answering": (
        qa.AnswerPrediction(None, None, None, 0.9, 3.0, []),
        qa.Example("1", WHERE, ("q", "c"), ()),
        qa.Example("2", WHERE, ("q", "c"), ({"text": "c", "answer_start": 0},)),
    ),
    "multiple_choice": (choice.ChoicePrediction("a", 0, [0.9, 0.1]), asked(0), asked(1)),
    "regression": (
        regression.NumberPrediction(2.0),
        regression.Example("1", WHERE, ("t",), 2.0),
        regression.Example("2", WHERE, ("t",), 3.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equal_predictions_cause_a_warning_only_if_the_gold_differs(name: str) -> None:
    prediction, usual, other = CASES[name]
    options = {"low": 0, "high": 5} if name == "regression" else {}
    fitted = made(name, **options).fitted(("a", "b"))
    predictions = [prediction] * 12
    assert fitted.warnings(predictions, [usual] * 12, []) == []
    (warning,) = fitted.warnings(predictions, [usual] * 11 + [other], [])
    assert warning.startswith("collapsed: ")
