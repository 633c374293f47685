"""The scores of weighted rows are the scores of the rows themselves, each repeated as often as it counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_examples import WHERE, asked, fitted, graded, labelled, predict, tagged, texts, with_labels

from bertune.metrics import resampling, retrieval
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask
from bertune.tasks.embeddings import task as embeddings
from bertune.tasks.embeddings.vectors import collection
from bertune.tasks.language_modelling import task as language_modelling
from bertune.tasks.multiple_choice import task as choice
from bertune.tasks.ranking import task as ranking
from bertune.tasks.regression import task as regression

DRAW = np.random.default_rng(3)


def drawn(values: str, num: int) -> list[str]:
    return [str(value) for value in DRAW.choice(list(values), size=num)]


def choices() -> list[Any]:
    return [
        choice.Example("1", WHERE, ("q", "…"), "", "q", tuple("abcd"[: 2 + i % 3]), i % 2) for i in range(30)
    ]


# One case for each kind of scores, with some labels that are rare or do not occur.
CASES: dict[str, tuple[FittedTask, list[Any]]] = {
    "two labels": (fitted("classification", ("a", "b")), labelled(*drawn("aab", 30))),
    "many labels": (
        fitted("classification", ("a", "b", "c", "d", "rare")), labelled(*drawn("abbcd", 40), "rare"),
    ),
    "multilabel": (
        fitted("multilabel", ("a", "b", "never")),
        with_labels(*(tuple(sorted({*drawn("ab", DRAW.integers(3))})) for _ in range(30))),
    ),
    "regression": (
        fitted("regression", ("value",), low=0, high=5),
        [regression.Example("1", WHERE, ("t",), float(DRAW.integers(5))) for _ in range(30)],
    ),
    "similarities": (
        fitted("embeddings"),
        [embeddings.Example("1", WHERE, ("a", "b"), float(DRAW.integers(5))) for _ in range(30)],
    ),
    "questions": (fitted("question_answering", ("answer", "no answer")), asked(*drawn("xyz", 20), *[""] * 9)),
    "choices": (fitted("multiple_choice"), choices()),
    "entities": (
        fitted("token_classification", ("O", "B-PER", "I-PER", "B-LOC"), scheme="bio"),
        tagged(*([{"p": "B-PER", "l": "B-LOC", "o": "O"}[x] for x in drawn("oopl", 6)] for _ in range(30))),
    ),
    "tags": (
        fitted("token_classification", ("B-PER", "O", "X"), scheme="plain"),
        tagged(*([{"p": "B-PER", "o": "O", "x": "X"}[x] for x in drawn("ooopx", 5)] for _ in range(30))),
    ),
    "masks": (
        fitted("language_modelling"),
        [language_modelling.Example("1", WHERE, ("a b",)) for _ in range(30)],
    ),
    "rankings": (fitted("ranking"), graded(*((f"q{i // 5}", float(DRAW.integers(3))) for i in range(60)))),
    "triplets": (fitted("embeddings"), texts(*((f"q{i // 2}", f"d{i}", f"n{i}") for i in range(30)))),
}  # fmt: skip


def scored(name: str) -> tuple[FittedTask, list[Any], list[Any], Scores]:
    task, examples = CASES[name]
    draw = np.random.default_rng(5)
    predictions = [predict(task, example, draw) for example in examples]
    return task, examples, predictions, task.score(predictions, examples)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("rankings", "triplets")])
def test_a_weight_is_the_number_of_times_that_a_row_counts(name: str) -> None:
    task, examples, predictions, scores = scored(name)
    assert scores.weighted is not None
    weights_RN = np.random.default_rng(6).integers(3, size=(20, len(examples))).astype(float)
    weights_RN[0] = 0
    weights_RN[0, 3:5] = 1  # so few rows that some scores are undefined
    found = scores.weighted(weights_RN)
    assert found.keys() == scores.values.keys() == set(task.task.scores)
    for row, weights_N in enumerate(weights_RN.astype(int)):
        rows = np.repeat(np.arange(len(examples)), weights_N)
        expected = task.score([predictions[i] for i in rows], [examples[i] for i in rows]).values
        assert_equal({score: each_R[row] for score, each_R in found.items()}, expected)


def test_the_weight_of_a_query_is_the_number_of_times_that_it_is_ranked() -> None:
    task, examples, predictions, scores = scored("rankings")
    assert scores.weighted is not None
    of_query = np.random.default_rng(6).integers(3, size=12)
    rows = [(i, copy) for i in range(len(examples)) for copy in range(of_query[i // 5])]
    # Copies of a query are queries of their own.
    copies = [replace(examples[i], texts=(f"{examples[i].texts[0]} {copy}", "d")) for i, copy in rows]
    expected = task.score([predictions[i] for i, _ in rows], copies).values
    found = scores.weighted(np.repeat(of_query, 5)[None].astype(float))
    assert isinstance(examples[0], ranking.Example)
    assert_equal({score: each_R[0] for score, each_R in found.items()}, expected)


def test_queries_are_resampled_and_the_texts_they_retrieve_are_not() -> None:
    _, examples, predictions, scores = scored("triplets")
    assert scores.weighted is not None
    ranks = retrieval.ranks_of(*collection(predictions, [e.texts for e in examples]))
    for query in range(3):
        weights_N = np.zeros(len(examples))
        weights_N[2 * query : 2 * query + 2] = 1
        found = {name: each_R[0] for name, each_R in scores.weighted(weights_N[None]).items()}
        expected = retrieval.of_ranks([ranks[query]])
        assert {name: found[name] for name in expected} == pytest.approx(expected)


def assert_equal(found: dict[str, float], expected: dict[str, float | None]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert np.isnan(found[name]), name
        else:
            assert found[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("name", CASES)
def test_every_score_has_an_interval_around_it(name: str) -> None:
    task, examples, _, scores = scored(name)
    units = resampling.units_of([task.task.group_key(e) for e in examples])
    units = np.arange(len(examples)) if units.max() < 9 else units  # made-up examples share a context
    found = resampling.intervals(scores, resampling.resampled(scores, units, lambda rows: {}))
    varied = {score for score, value in scores.values.items() if value not in (None, 0.0, 1.0)}
    assert varied <= {score for score, both in found.items() if both}
    for score in varied - {"best_null_threshold"}:  # which jumps between predicted values
        low, high = found[score]
        assert low <= scores.values[score] <= high
        assert low < high
