"""The probabilities in predictions, and scores, which always use all probabilities."""

from typing import Any

import numpy as np
import pytest

from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.errors import ConfigError
from bertune.predict.predictor import plain
from bertune.tasks import FittedTask, make_task
from bertune.tasks.classification import task as classification
from bertune.tasks.multilabel import task as multilabel
from bertune.tasks.parts.top_k import BEST, MOST_NAMED, named

NAMES = ("classification", "multilabel")


def labels(number: int) -> tuple[str, ...]:
    return tuple(f"label{i:04}" for i in range(number))


def made(name: str, number: int, **options: Any) -> FittedTask:
    fitted = make_task(TaskConfig(name=name, **options)).fitted(labels(number))
    assert isinstance(fitted, FittedTask)
    return fitted


def outcome(fitted: FittedTask, num_texts: int = 40, is_scored: bool = True) -> tuple[list[Any], list[Any]]:
    """Examples with the predictions of outputs drawn at random."""
    names, number = fitted.labels, len(fitted.labels)
    draw = np.random.default_rng(number)
    outputs_NC = 3 * draw.standard_normal((num_texts, number), np.float32) - 2
    module = classification if isinstance(fitted, classification.FittedClassification) else multilabel
    gold = [names[(7 * i) % number] for i in range(num_texts)]
    if module is multilabel:
        gold = [(one,) for one in gold]  # type: ignore[misc]
    examples: list[Any] = [
        module.Example(str(i), Origin("a.csv", i), ("text",), one if is_scored else None)  # type: ignore[arg-type]
        for i, one in enumerate(gold)
    ]
    predictions = [
        fitted.decode([row], [], example) for row, example in zip(outputs_NC, examples, strict=True)
    ]
    return predictions, examples


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("number", "top_k", "expected"),
    [(MOST_NAMED, "auto", MOST_NAMED), (MOST_NAMED + 1, "auto", BEST), (5, 2, 2), (5, 9, 5), (300, 300, 300)],
)
def test_top_k_limits_the_probabilities_of_a_prediction(
    name: str, number: int, top_k: Any, expected: int
) -> None:
    for is_scored in (True, False):
        predictions, _ = outcome(made(name, number, top_k=top_k), 3, is_scored)
        for prediction in predictions:
            found = plain(prediction)["probabilities"]
            assert len(found) == expected
            if expected < number:
                assert list(found.values()) == sorted(found.values(), reverse=True)
            else:
                assert tuple(found) == labels(number)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [5, 150])
def test_scores_and_labels_do_not_depend_on_top_k(name: str, number: int) -> None:
    whole, few = made(name, number, top_k=number), made(name, number, top_k=2)
    (all_of_them, examples), (two, _) = outcome(whole), outcome(few)
    first, second = whole.score(all_of_them, examples), few.score(two, examples)
    assert (first.values, first.details) == (second.values, second.details)
    assert whole.mistakes(all_of_them, examples) == few.mistakes(two, examples)
    for one, other in zip(all_of_them, two, strict=True):
        kept = one.probabilities
        assert other.probabilities == {label: kept[label] for label in other.probabilities}
        assert max(kept, key=kept.__getitem__) in other.probabilities


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_without_gold_equals_the_scored_one(name: str) -> None:
    fitted = made(name, 150, top_k=3)
    (scored, *_), _ = outcome(fitted, 1)
    (stored, *_), _ = outcome(fitted, 1, is_scored=False)
    assert plain(scored) == plain(stored)
    assert not hasattr(stored, "raw"), "predictions for a user hold no outputs"


def test_ties_are_resolved_to_the_first_labels() -> None:
    assert named(np.array([0.1, 0.3, 0.3, 0.3]), ("a", "b", "c", "d"), 2) == {"b": 0.3, "c": 0.3}
    assert list(named(np.array([0.1, 0.2, 0.7]), ("a", "b", "c"), 2)) == ["c", "b"]


@pytest.mark.parametrize("value", [0, -1, "many"])
def test_an_invalid_top_k_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"task\.top_k"):
        made("classification", 2, top_k=value)


def test_the_number_of_wrong_labels_shown_per_text_is_limited() -> None:
    fitted = made("multilabel", 500, threshold=0.01)
    predictions, examples = outcome(fitted)
    found = fitted.mistakes(predictions, examples)
    assert found is not None
    facts = found.shown[0].facts
    assert len(facts) <= 22
    assert any(fact.name == "wrong labels not shown" for fact in facts)
