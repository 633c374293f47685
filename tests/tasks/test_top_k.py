"""Which probabilities a prediction has, and that scores use all of them whichever it has."""

from typing import Any

import numpy as np
import pytest
import torch

from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.errors import ConfigError
from bertune.infer import plain
from bertune.tasks import Task, classification, make_task, multilabel
from bertune.tasks._top_k import BEST, MOST_NAMED, named

NAMES = ("classification", "multilabel")


def labels(number: int) -> tuple[str, ...]:
    return tuple(f"label{i:04}" for i in range(number))


def made(name: str, **options: Any) -> Task:
    return make_task(TaskConfig(name=name, **options))


def outcome(
    task: Task, number: int, num_texts: int = 40, is_scored: bool = True
) -> tuple[list[Any], list[Any]]:
    """Examples with the predictions of outputs drawn at random."""
    draw = torch.Generator().manual_seed(number)
    outputs_NC = 3 * torch.randn(num_texts, number, generator=draw) - 2
    names, module = labels(number), classification if "softmax" in str(type(task).__doc__) else multilabel
    gold = [names[(7 * i) % number] for i in range(num_texts)]
    if module is multilabel:
        gold = [(one,) for one in gold]  # type: ignore[misc]
    examples: list[Any] = [
        module.Example(str(i), Origin("a.csv", i), ("text",), one if is_scored else None)  # type: ignore[arg-type]
        for i, one in enumerate(gold)
    ]
    predictions = [
        task.decode([row], [], example, names) for row, example in zip(outputs_NC, examples, strict=True)
    ]
    return predictions, examples


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("number", "top_k", "expected"),
    [(MOST_NAMED, "auto", MOST_NAMED), (MOST_NAMED + 1, "auto", BEST), (5, 2, 2), (5, 9, 5), (300, 300, 300)],
)
def test_a_prediction_has_so_many_probabilities(name: str, number: int, top_k: Any, expected: int) -> None:
    for is_scored in (True, False):
        predictions, _ = outcome(made(name, top_k=top_k), number, 3, is_scored)
        for prediction in predictions:
            found = plain(prediction)["probabilities"]
            assert len(found) == expected
            if expected < number:
                assert list(found.values()) == sorted(found.values(), reverse=True)
            else:
                assert tuple(found) == labels(number)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [5, 150])
def test_scores_and_labels_are_the_same_however_few_probabilities_are_given(name: str, number: int) -> None:
    whole, few = made(name, top_k=number), made(name, top_k=2)
    (all_of_them, examples), (two, _) = outcome(whole, number), outcome(few, number)
    first, second = (
        task.score(predictions, examples, labels(number))
        for task, predictions in ((whole, all_of_them), (few, two))
    )
    assert (first.values, first.details) == (second.values, second.details)
    assert whole.mistakes(all_of_them, examples, labels(number)) == few.mistakes(
        two, examples, labels(number)
    )
    for one, other in zip(all_of_them, two, strict=True):
        kept = one.probabilities
        assert other.probabilities == {label: kept[label] for label in other.probabilities}
        assert max(kept, key=kept.__getitem__) in other.probabilities


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_prediction_equals_the_one_it_was_made_of(name: str) -> None:
    task = made(name, top_k=3)
    (scored, *_), _ = outcome(task, 150, 1)
    (stored, *_), _ = outcome(task, 150, 1, is_scored=False)
    assert plain(scored) == plain(stored)
    assert not hasattr(stored, "behind"), "predictions for a user hold no outputs"


def test_of_equal_probabilities_the_first_labels_are_given() -> None:
    assert named(np.array([0.1, 0.3, 0.3, 0.3]), ("a", "b", "c", "d"), 2) == {"b": 0.3, "c": 0.3}
    assert list(named(np.array([0.1, 0.2, 0.7]), ("a", "b", "c"), 2)) == ["c", "b"]


@pytest.mark.parametrize("value", [0, -1, "many"])
def test_a_top_k_that_cannot_be_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"task\.top_k"):
        made("classification", top_k=value)


def test_a_text_with_thousands_of_wrong_labels_is_shown_with_a_few() -> None:
    task = made("multilabel", threshold=0.01)
    predictions, examples = outcome(task, 500)
    found = task.mistakes(predictions, examples, labels(500))
    assert found is not None
    facts = found.shown[0].facts
    assert len(facts) <= 22
    assert any(fact.name == "wrong labels not shown" for fact in facts)
