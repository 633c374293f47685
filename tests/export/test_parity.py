"""How the predictions and scores of an export are compared with those of the trained model."""

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from bertune.config import ExportConfig, TaskConfig
from bertune.console.parity import parity_table
from bertune.errors import ConfigError
from bertune.export.formats import FORMATS, Tolerance, format_named, tolerance_of
from bertune.export.parity import Comparison, Results, compare, differences, problems, score_loss
from bertune.tasks import make_task


def tagged(label: str, score: float) -> dict[str, Any]:
    """A prediction with one entity."""
    span = {"start": 0, "end": 3, "label": label, "text": "Ada", "score": score}
    return {"spans": [span], "words": ["Ada"], "tags": [f"B-{label}"]}


def answered(*found: tuple[str, int, float]) -> dict[str, Any]:
    """A prediction with these candidates, each an answer, its start and its score."""
    candidates = [
        {"answer": text, "start": start, "end": start + len(text), "score": score}
        for text, start, score in found
    ]
    return {**candidates[0], "no_answer_score": -2.0, "n_best": candidates}


# A prediction of each kind, the same with other numbers, and the same with another decision.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "classification": (
        {"label": "good", "probabilities": {"good": 0.75, "bad": 0.25}},
        {"label": "good", "probabilities": {"good": 0.5, "bad": 0.5}},
        {"label": "bad", "probabilities": {"good": 0.5, "bad": 0.5}},
    ),
    "multilabel": (
        {"labels": ["screen"], "probabilities": {"screen": 0.75, "sound": 0.25}},
        {"labels": ["screen"], "probabilities": {"screen": 1.0, "sound": 0.25}},
        {"labels": ["screen", "sound"], "probabilities": {"screen": 0.75, "sound": 0.5}},
    ),
    "token_classification": (tagged("PER", 0.75), tagged("PER", 0.5), tagged("LOC", 0.1)),
    "question_answering": (
        answered(("Ada", 0, 0.75), ("Bo", 9, 0.25)),
        answered(("Ada", 0, 0.5), ("so", 40, 0.9)),  # the second candidates do not correspond
        answered(("Bo", 9, 0.5)),
    ),
    "multiple_choice": (
        {"choice": "at home", "index": 0, "probabilities": [0.75, 0.25]},
        {"choice": "at home", "index": 0, "probabilities": [1.0, 0.0]},
        {"choice": "at work", "index": 1, "probabilities": [0.5, 0.5]},
    ),
    "language_modelling": (
        {"masks": [{"best": {"rain": 0.75, "snow": 0.125}, "word": "rain", "probability": 0.75}]},
        {"masks": [{"best": {"rain": 0.5, "wind": 0.125}, "word": "rain", "probability": 0.75}]},
        {"masks": [{"best": {"snow": 0.5, "rain": 0.5}, "word": "rain", "probability": 0.5}]},
    ),
}
# Predictions without a decision: nothing flips.
NUMBERS: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "regression": ({"value": 4.0}, {"value": 3.0}, 0.25),
    "ranking": ({"score": 0.75}, {"score": 0.5}, 0.25),
    "embeddings": ({"similarities": [0.5, -0.25]}, {"similarities": [0.5, 0.0]}, 0.25),
}  # fmt: skip


def results(*lines: dict[str, Any], **scores: float | None) -> Results:
    return Results(list(lines), scores or {"f1": 0.5}, next(iter(scores), "f1"))


def compared(kind: str, first: dict[str, Any], second: dict[str, Any]) -> Comparison:
    decision = make_task(TaskConfig(name=kind)).fitted().decision
    same = KINDS.get(kind, (first,))[0]
    return compare(results(same, first), results(same, second), ("a.csv, line 2", "a.csv, line 3"), decision)


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_differs_without_a_flip(kind: str) -> None:
    expected, numbers, _ = KINDS[kind]
    found = compared(kind, expected, numbers)
    assert (found.largest_difference, found.largest_difference_at) == (0.25, "a.csv, line 3")
    assert (found.flips, found.flipped, found.flip_share) == (0, (), 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_another_decision_is_a_flip(kind: str) -> None:
    expected, _, flipped = KINDS[kind]
    found = compared(kind, expected, flipped)
    assert (found.flips, found.flipped, found.flip_share) == (1, ("a.csv, line 3",), 0.5)
    assert found.rows == 2


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_prediction_of_numbers_alone_never_flips(kind: str) -> None:
    expected, other, difference = NUMBERS[kind]
    found = compared(kind, expected, other)
    assert (found.largest_difference, found.flips) == (difference, 0)


def test_equal_predictions_do_not_differ() -> None:
    for kind, (expected, *_) in {**KINDS, **NUMBERS}.items():
        found = compared(kind, expected, expected)
        assert (found.largest_difference, found.largest_difference_at, found.flips) == (0.0, None, 0)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0.25, 0.5, [0.25]),
        (200.0, 150.0, [0.25]),  # relative above 1
        (1, 7, []),  # positions and counts belong to the decision
        (True, False, []),
        (None, 0.5, []),
        (math.inf, math.inf, [0.0]),
        (0.5, math.inf, [math.inf]),
        (math.nan, 0.5, [math.inf]),
        ({"a": 0.5, "b": 0.5}, {"a": 0.25, "c": 0.0}, [0.25]),
        ([0.5, 0.5], [0.5], []),  # nothing corresponds
    ],
)
def test_which_numbers_are_compared(first: Any, second: Any, expected: list[float]) -> None:
    assert list(differences(first, second)) == expected


@pytest.mark.parametrize(
    ("name", "before", "after", "loss"),
    [
        ("f1", 0.75, 0.5, 0.25),
        ("f1", 0.5, 0.75, -0.25),
        ("rmse", 0.5, 0.75, 0.25),  # lower is better
        ("perplexity", 100.0, 125.0, 0.2),  # relative above 1
        ("pseudo_perplexity", 100.0, 80.0, -0.2),
        ("f1", None, None, 0.0),
        ("f1", 0.5, None, math.inf),
        ("f1", None, 0.5, math.inf),
    ],
)
def test_a_score_gets_worse_in_its_own_direction(
    name: str, before: float | None, after: float | None, loss: float
) -> None:
    assert score_loss(results(**{name: before}), results(**{name: after})) == pytest.approx(loss)


PLACES = ("a.csv, line 4", "a.csv, line 7")
SMALL = Comparison(200, 0.01, "a.csv, line 9", 2, PLACES, 0.02, {"f1": (0.9, 0.88)})
EXACT = Tolerance(0.01, 0.01, 0.02)


def test_what_reaches_the_limits_is_accepted() -> None:
    assert problems(SMALL, EXACT, "f1") == []


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        (
            replace(EXACT, difference=0.009),
            "a predicted number differs by 0.01 in a.csv, line 9 (export.max_difference=0.009)",
        ),
        (
            replace(EXACT, flips=0.009),
            "2 of 200 predictions differ, first in a.csv, line 4 (export.max_flips=0.009)",
        ),
        (
            replace(EXACT, score_loss=0.019),
            "f1 falls from 0.9000 to 0.8800 (export.max_score_loss=0.019)",
        ),
    ],
)
def test_each_limit_is_named_with_its_setting(tolerance: Tolerance, message: str) -> None:
    assert problems(SMALL, tolerance, "f1") == [message]


def test_a_number_that_is_not_finite_exceeds_every_limit() -> None:
    worst = replace(SMALL, largest_difference=math.inf, score_loss=math.inf)
    assert len(problems(worst, Tolerance(1e9, 1.0, 1e9), "f1")) == 2


def test_a_limit_is_that_of_the_format_unless_it_is_set() -> None:
    assert tolerance_of("onnx", ExportConfig()) == FORMATS["onnx"].tolerance
    found = tolerance_of("onnx", ExportConfig(max_flips=0.25))
    assert found == replace(FORMATS["onnx"].tolerance, flips=0.25)


@pytest.mark.parametrize("value", [1.01, 2, -0.1])
def test_a_share_of_flips_is_between_0_and_1(value: float) -> None:
    assert ExportConfig(max_flips=1).max_flips == 1
    with pytest.raises(ValidationError, match=r"must be (a share from 0 to 1|0 or more)"):
        ExportConfig(max_flips=value)


def test_every_row_of_the_printed_comparison_has_its_own_name() -> None:
    speed = {"milliseconds_per_row": 1.0, "rows_per_second": 9.0, "precision": "bf16"}
    score = {"model": 0.5, "export": 0.5}
    table = parity_table(
        {"scores": {"precision": score, "recall": score}, "speed": {"model": speed, "export": speed}}
    )
    names = list(table.columns[0].cells)
    assert len(set(names)) == len(names) == 5


def test_an_unknown_format_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r'unknown export format "onnx_int8"\. Did you mean "onnx-int8"'):
        format_named("onnx_int8")
