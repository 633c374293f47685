"""Scores of spans equal those of seqeval in strict mode, and scores of tags those of scikit-learn."""

import random
from typing import Any

import pytest
from seqeval.metrics import classification_report  # type: ignore[import-untyped]
from seqeval.scheme import IOB2  # type: ignore[import-untyped]
from sklearn import metrics as sk

from bertune.metrics.spans import accuracy, assemble, score_spans, score_tags
from bertune.tasks.token_classification.schemes import Scheme, read_tags


def strict_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, Any]:
    """The scores of seqeval for IOB2 tags in strict mode, by type and on average."""
    found: dict[str, Any] = classification_report(
        gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    return found


def valid_tags(draw: random.Random) -> list[str]:
    tags = ["O"]
    for _ in range(9):
        new = [f"B-{draw.choice('XYZ')}", "O", "O"]
        tags.append(draw.choice([*new, f"I-{tags[-1][2:]}"] if tags[-1] != "O" else new))
    return tags


def test_strict_scores_equal_those_of_seqeval() -> None:
    draw = random.Random(5)
    gold = [valid_tags(draw) for _ in range(60)]
    predicted = [tags if draw.random() < 0.4 else valid_tags(draw) for tags in gold]
    spans = [[read_tags(tags, Scheme("bio")).spans for tags in side] for side in (gold, predicted)]
    found = score_spans(*spans)
    values, per_class = found.values, found.per_class
    expected = strict_scores(gold, predicted)
    micro = expected["micro avg"]
    assert 0.3 < micro["f1-score"] < 0.9
    assert values == pytest.approx(
        {
            "f1": micro["f1-score"],
            "macro_f1": expected["macro avg"]["f1-score"],
            "precision": micro["precision"],
            "recall": micro["recall"],
        }
    )
    flat = [[tag for tags in side for tag in tags] for side in (gold, predicted)]
    assert accuracy(gold, predicted) == pytest.approx(sk.accuracy_score(*flat))
    for row in per_class:
        theirs = expected[row["label"]]
        assert (row["support"], row["f1"]) == (theirs["support"], pytest.approx(theirs["f1-score"]))


def test_a_partially_correct_span_is_wrong() -> None:
    found = score_spans([[(0, 5, "X")]], [[(0, 4, "X"), (0, 5, "Y")]])
    assert found.values == {"f1": 0, "macro_f1": 0, "precision": 0, "recall": 0}
    assert [(row["label"], row["support"]) for row in found.per_class] == [("X", 1), ("Y", 0)]


def test_without_gold_and_predicted_spans_scores_are_undefined() -> None:
    nothing = score_spans([[]], [[]])
    assert nothing.values == dict.fromkeys(("f1", "macro_f1", "precision", "recall"))
    assert nothing.per_class == []
    assert score_spans([[]], [[(0, 3, "X")]]).values == {"f1": 0, "macro_f1": 0, "precision": 0, "recall": 0}


def test_types_that_are_only_gold_or_only_predicted_count_as_0_like_in_seqeval() -> None:
    gold, predicted = [["B-X", "O", "B-Y"]], [["B-X", "B-Z", "O"]]
    found = score_spans(
        *([read_tags(tags, Scheme("bio")).spans for tags in side] for side in (gold, predicted))
    )
    expected = strict_scores(gold, predicted)
    macro = expected["macro avg"]["f1-score"]
    assert found.values["macro_f1"] == pytest.approx(macro) == pytest.approx(1 / 3)
    assert {row["label"]: row["f1"] for row in found.per_class} == {"X": 1, "Y": 0, "Z": 0}


def test_scores_of_plain_tags_equal_those_of_scikit_learn() -> None:
    gold, predicted = [["N", "V", "N"], ["D"]], [["N", "N", "N"], ["V"]]
    tags = score_tags(gold, predicted)
    values = tags.values
    flat = ["N", "V", "N", "D"], ["N", "N", "N", "V"]
    assert values["macro_f1"] == pytest.approx(sk.f1_score(*flat, average="macro", zero_division=0))
    assert values["f1"] == pytest.approx(sk.f1_score(*flat, average="micro"))
    found = assemble(tags, gold, predicted, ("D", "N", "V"))
    assert found.details["confusion_matrix"] == sk.confusion_matrix(*flat, labels=["D", "N", "V"]).tolist()
