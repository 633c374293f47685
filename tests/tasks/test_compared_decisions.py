"""What is compared of predictions, whether it is the gold, and how the report shows wrong labels."""

from typing import Any

import pytest

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.tasks import make_task
from bertune.tasks.multilabel.task import LabelsPrediction

PER = {"start": 0, "end": 3, "label": "PER", "text": "Ada", "score": 0.9, "decision": "review"}
QA = {"answer": "Ada", "start": 0, "end": 3, "score": 0.9, "n_best": []}
CASES: list[tuple[str, dict[str, Any], Any, Any]] = [  # a prediction, its gold, and another gold
    ("token_classification", {"spans": [PER], "tags": ["B-PER", "O"]}, ["B-PER", "O"], ["O", "B-PER"]),
    (
        "token_classification",
        {"spans": [PER], "tags": ["B-PER", "O"]},
        [{"label": "PER", "start": 0, "end": 3}],
        [{"label": "LOC", "start": 0, "end": 3}],
    ),
    ("question_answering", QA, [{"text": "Bo", "answer_start": 9}, {"text": "Ada", "answer_start": 0}], []),
    ("question_answering", {**QA, "answer": None, "start": None, "end": None}, [], [{"text": "Ada"}]),
    ("multiple_choice", {"choice": "at home", "index": 1, "probabilities": [0.2, 0.8]}, 1, 0),
]


@pytest.mark.parametrize(("name", "prediction", "gold", "other"), CASES)
def test_a_prediction_is_recognized_as_right(name: str, prediction: Any, gold: Any, other: Any) -> None:
    fitted = make_task(TaskConfig(name=name)).fitted()
    decision = fitted.decision(prediction)
    assert fitted.is_gold(decision, gold)
    assert not fitted.is_gold(decision, other)
    assert "review" not in str(decision)


def test_wrong_tags_are_shown_with_their_words() -> None:
    task = make_task(TaskConfig(name="token_classification"))
    values = {"tokens": ["Ada", "met", "Bo"], "tags": ["B-PER", "O", "O"]}
    example = task.parse(Row(values, Origin("a.jsonl", 1)), Columns(text=("tokens",), label="tags", id=None))
    change = task.fit([example]).label_change
    assert change(example, ["B-PER", "O", "O"], ["O", "O", "B-PER"]) == ("Ada B-PER, Bo O", "Ada O, Bo B-PER")


def test_labels_are_scored_as_predicted_also_with_cutoffs_of_several_models() -> None:
    task = make_task(TaskConfig(name="multilabel"))
    columns = Columns(text=("text",), label="labels", id=None)
    rows = [{"text": "x", "labels": ["a"]}, {"text": "y", "labels": ["b"]}]
    examples = [task.parse(Row(row, Origin("a.jsonl", 1)), columns) for row in rows]
    chances = {"a": 0.4, "b": 0.3}
    cutoffs_of_two_models = [LabelsPrediction(["a"], chances), LabelsPrediction(["b"], chances)]
    assert task.fit(examples).score(cutoffs_of_two_models, examples).values["micro_f1"] == 1.0
    assert task.fit(examples).score(cutoffs_of_two_models[::-1], examples).values["micro_f1"] == 0.0
