"""Ranking scores, compared with scikit-learn or the definition; ties; TREC files."""

import math

import numpy as np
import pytest
import pytrec_eval  # type: ignore[import-not-found, import-untyped, unused-ignore]
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, ndcg_score

from bertune.metrics.ranking import (
    NAMES,
    Judged,
    details,
    limitations,
    mean_scores,
    qrels_lines,
    reciprocal_rank,
    run_lines,
)


def drawn(seed: int, num: int) -> Judged:
    draw = np.random.default_rng(seed)
    grades = draw.integers(0, 4, size=num) * draw.integers(0, 2, size=num)
    grades[draw.integers(num)] = 2  # at least one relevant document
    return Judged(grades.astype(float), draw.normal(size=num) + 0.3 * grades)


def by_definition(judged: Judged) -> dict[str, float]:
    """The definitions as loops over (score, grade) pairs."""
    pairs = sorted(zip(judged.scores_D, judged.grades_D, strict=True), reverse=True)
    hits = [grade > 0 for _, grade in pairs]
    first = next(place for place, hit in enumerate(hits, 1) if hit)
    found = {"mrr": 1 / first, "mrr@10": 1 / first if first <= 10 else 0.0}
    found |= {f"p@{k}": sum(hits[:k]) / k for k in (1, 5, 10)}
    found |= {f"recall@{k}": sum(hits[:k]) / sum(hits) for k in (5, 10)}
    gain = [grade / math.log2(place + 1) for place, (_, grade) in enumerate(pairs, 1)]
    best = sorted((grade for _, grade in pairs), reverse=True)
    ideal = [grade / math.log2(place + 1) for place, grade in enumerate(best, 1)]
    found["ndcg"] = sum(gain) / sum(ideal)
    found["ndcg@10"] = sum(gain[:10]) / sum(ideal[:10])
    precisions = [sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit]
    found["map"] = sum(precisions) / len(precisions)
    return found


@pytest.mark.parametrize(("seed", "num"), [(seed, num) for num in (1, 2, 7, 11, 40) for seed in range(6)])
def test_every_score_of_a_query_follows_its_definition(seed: int, num: int) -> None:
    judged = drawn(seed, num)
    found = mean_scores([judged])
    assert set(found) == set(NAMES)
    assert found == pytest.approx(by_definition(judged))


@pytest.mark.parametrize("seed", range(8))
def test_ndcg_and_average_precision_equal_those_of_scikit_learn(seed: int) -> None:
    judged = drawn(seed, 23)
    found = mean_scores([judged])
    grades, scores = judged.grades_D[None], judged.scores_D[None]
    assert found["ndcg@10"] == pytest.approx(ndcg_score(grades, scores, k=10, ignore_ties=True))
    assert found["ndcg"] == pytest.approx(ndcg_score(grades, scores, ignore_ties=True))
    assert found["map"] == pytest.approx(average_precision_score(judged.grades_D > 0, judged.scores_D))


def test_the_mean_is_over_queries_with_a_relevant_document() -> None:
    one, other = drawn(1, 9), drawn(2, 30)
    hopeless = Judged(np.zeros(5), np.arange(5.0))
    found, expected = mean_scores([one, hopeless, other]), [by_definition(q) for q in (one, other)]
    assert found == pytest.approx({name: (expected[0][name] + expected[1][name]) / 2 for name in NAMES})
    assert mean_scores([hopeless]) == dict.fromkeys(NAMES)


TREC_NAMES = {"ndcg": "ndcg", "map": "map", "mrr": "recip_rank", "p@5": "P_5", "recall@5": "recall_5"}


@pytest.mark.parametrize("relevant", [1, 2, 3])
def test_the_relevance_grade_is_a_minimum_like_in_trec_eval(relevant: int) -> None:
    queries = [drawn(seed, 15) for seed in range(12)]
    named = [[f"d{n:02}" for n in range(len(q.grades_D))] for q in queries]
    qrels = {
        f"q{n}": dict(zip(names, map(int, q.grades_D), strict=True))
        for n, (q, names) in enumerate(zip(queries, named, strict=True))
    }
    run = {
        f"q{n}": dict(zip(names, q.scores_D.tolist(), strict=True))
        for n, (q, names) in enumerate(zip(queries, named, strict=True))
    }
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_NAMES.values()), relevance_level=relevant)
    of_queries = evaluator.evaluate(run)
    found = mean_scores(queries, relevant)
    for ours, theirs in TREC_NAMES.items():
        least = 1 if ours == "ndcg" else relevant
        scored = [q for q, grades in qrels.items() if max(grades.values()) >= least]
        assert found[ours] == pytest.approx(np.mean([of_queries[q][theirs] for q in scored]), abs=1e-6), ours


def test_a_query_without_relevant_grades_only_has_ndcg() -> None:
    low = Judged(np.array([0.0, 1.0]), np.array([0.9, 0.1]))
    found = mean_scores([low], 2)
    assert found["ndcg"] == pytest.approx(1 / math.log2(3))
    assert {value for name, value in found.items() if "ndcg" not in name} == {None}
    assert details([low], 2)["count"] == 1 and details([low], 2)["tables"] == []


@pytest.mark.parametrize(
    ("grades", "relevant", "settled", "fact"),
    [
        # Every document is relevant with a different grade, so the order only matters for nDCG.
        ([[3, 1], [2, 1]], 1, {*NAMES} - {"ndcg", "ndcg@10"}, "all documents or none have a grade"),
        ([[2, 2], [0, 0]], 1, {*NAMES}, "all documents or none have a grade"),
        ([[1, 0, 0, 0], [0, 0, 1]], 1, {"p@5", "p@10", "recall@5", "recall@10"}, "no query has more than 4"),
        ([[1], [2]], 3, {*NAMES}, "no document has a grade of at least task.relevant=3; the highest is 2"),
        ([[1] + [0] * 10, [0, 1, 1]], 1, set(), ""),
    ],
)
def test_scores_that_no_order_changes_are_found(
    grades: list[list[int]], relevant: float, settled: set[str], fact: str
) -> None:
    arrays = [np.array(own, float) for own in grades]
    found = limitations(arrays, relevant)
    assert {name for one in found for name in one.settled} == settled
    assert fact in " ".join(one.fact for one in found)
    stated = {name: value for one in found for name, value in one.settled.items()}
    for seed in range(5):
        draw = np.random.default_rng(seed)
        scores = mean_scores([Judged(own, draw.normal(size=len(own))) for own in arrays], relevant)
        for name, value in stated.items():
            assert value == ("undefined" if scores[name] is None else f"{scores[name]:.4g}"), name


@pytest.mark.parametrize("grades", [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
def test_equal_predictions_gain_nothing_from_the_order_of_the_file(
    grades: list[int],
) -> None:
    found = mean_scores([Judged(np.array(grades, float), np.full(4, 0.5))])
    assert (found["mrr"], found["p@1"]) == (0.25, 0.0)


def test_the_reciprocal_rank_of_the_gold_choice() -> None:
    def rank(right: int, *probabilities: float) -> float:
        is_right: NDArray[np.bool_] = np.arange(len(probabilities)) == right
        return reciprocal_rank(is_right, np.array(probabilities))

    assert rank(2, 0.1, 0.2, 0.7) == 1
    assert rank(0, 0.1, 0.2, 0.7) == pytest.approx(1 / 3)


def test_a_run_lists_each_query_by_score_and_qrels_by_row() -> None:
    rows = [("q1", "d1", 0.25), ("q2", "d9", 0.5), ("q1", "d2", 0.75)]
    assert list(run_lines(rows, "mine")) == [
        "q1 Q0 d2 1 0.75 mine",
        "q1 Q0 d1 2 0.25 mine",
        "q2 Q0 d9 1 0.5 mine",
    ]
    assert list(qrels_lines([("q1", "d1", 0), ("q1", "d2", 2)])) == ["q1 0 d1 0", "q1 0 d2 2"]


@pytest.mark.parametrize("name", ["", "two words", " d1", "a\tb"])
def test_names_with_spaces_are_refused_in_trec_files(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid name in a TREC file"):
        list(run_lines([("q1", name, 1.0)]))


def test_different_scores_stay_different_in_fp32() -> None:
    scores = [1 - 1e-9, 1 - 2e-9, 1 - 2e-9, 0.5]
    lines = list(run_lines([("q1", f"d{n}", score) for n, score in enumerate(scores)]))
    found = [np.float32(line.split()[4]) for line in lines]
    assert found[0] > found[1] == found[2] > found[3]
