"""Scores of spans against a re-implementation of seqeval's strict mode, of tags against scikit-learn."""

import random
from collections import defaultdict

import pytest
from sklearn import metrics as sk

from bertune.metrics.spans import accuracy, assemble, score_spans, score_tags
from bertune.text.spans import Scheme, read_tags


def strict_entities(tags: list[str]) -> set[tuple[int, int, str]]:
    """Entities of IOB2 tags as seqeval's scheme.IOB2 finds them: a B-, and every I- of its type after it."""
    found, at = set(), 0
    while at < len(tags):
        if not tags[at].startswith("B-"):
            at += 1
            continue
        end = at + 1
        while end < len(tags) and tags[end] == f"I-{tags[at][2:]}":
            end += 1
        found.add((at, end, tags[at][2:]))
        at = end
    return found


def strict_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, float]:
    """Micro and macro averages by their definition, type by type."""
    ours, theirs = defaultdict(set), defaultdict(set)
    for number, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        for start, end, label in strict_entities(one):
            theirs[label].add((number, start, end))
        for start, end, label in strict_entities(other):
            ours[label].add((number, start, end))
    labels = {*ours, *theirs}
    right = {label: len(ours[label] & theirs[label]) for label in labels}
    f1 = [2 * right[k] / (len(ours[k]) + len(theirs[k])) for k in labels]
    num_ours, num_theirs = sum(map(len, ours.values())), sum(map(len, theirs.values()))
    precision, recall = sum(right.values()) / num_ours, sum(right.values()) / num_theirs
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "macro_f1": sum(f1) / len(f1),
    }


def valid_tags(draw: random.Random) -> list[str]:
    tags = ["O"]
    for _ in range(9):
        new = [f"B-{draw.choice('XYZ')}", "O", "O"]
        tags.append(draw.choice([*new, f"I-{tags[-1][2:]}"] if tags[-1] != "O" else new))
    return tags


def test_strict_scores_are_those_of_the_definition() -> None:
    draw = random.Random(5)
    gold = [valid_tags(draw) for _ in range(60)]
    predicted = [tags if draw.random() < 0.4 else valid_tags(draw) for tags in gold]
    spans = [[read_tags(tags, Scheme("bio")).spans for tags in side] for side in (gold, predicted)]
    values, per_class = score_spans(*spans)
    expected = strict_scores(gold, predicted)
    assert 0.3 < expected["f1"] < 0.9
    assert values == pytest.approx(expected)
    flat = [[tag for tags in side for tag in tags] for side in (gold, predicted)]
    assert accuracy(gold, predicted) == pytest.approx(sk.accuracy_score(*flat))
    assert sum(row["support"] for row in per_class) == sum(len(strict_entities(tags)) for tags in gold)


def test_a_span_that_is_nearly_right_is_wrong() -> None:
    values, per_class = score_spans([[(0, 5, "X")]], [[(0, 4, "X"), (0, 5, "Y")]])
    assert values == {"f1": 0, "macro_f1": 0, "precision": 0, "recall": 0}
    assert [(row["label"], row["support"]) for row in per_class] == [("X", 1), ("Y", 0)]


def test_nothing_to_find_and_nothing_found_is_no_score() -> None:
    assert score_spans([[]], [[]]) == ({"f1": 0, "macro_f1": 0, "precision": 0, "recall": 0}, [])


def test_scores_of_plain_tags_are_those_of_scikit_learn() -> None:
    gold, predicted = [["N", "V", "N"], ["D"]], [["N", "N", "N"], ["V"]]
    values, per_class = score_tags(gold, predicted)
    flat = ["N", "V", "N", "D"], ["N", "N", "N", "V"]
    assert values["macro_f1"] == pytest.approx(sk.f1_score(*flat, average="macro", zero_division=0))
    assert values["f1"] == pytest.approx(sk.f1_score(*flat, average="micro"))
    found = assemble((values, per_class), gold, predicted, ("D", "N", "V"))
    assert found.details["confusion_matrix"] == sk.confusion_matrix(*flat, labels=["D", "N", "V"]).tolist()
