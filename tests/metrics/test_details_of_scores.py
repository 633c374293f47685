"""Tables and figures of scores, compared with definitions and scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
from sklearn import metrics as sk

from bertune.metrics import answers, multilabel, ranking, spans
from bertune.metrics.details import MOST_ON_CURVE, MOST_POINTS, calibration, curve, histogram, scatter
from label_matrices import judged


def test_calibration_is_the_accuracy_by_confidence() -> None:
    found = calibration([0.95, 0.9, 0.92, 0.15, 1.0], [1, 0, 1, 0, 1], "texts")
    low, high = found["bins"]
    assert low == {"confidence": 0.15, "right": 0.0, "count": 1}
    assert high == {"confidence": pytest.approx(0.9425), "right": 0.75, "count": 4}
    assert found["error"] == pytest.approx((0.15 + 4 * (0.9425 - 0.75)) / 5)


def test_values_that_are_not_finite_are_left_out_of_figures() -> None:
    assert calibration([float("nan"), 0.5], [1, 1], "texts")["bins"][0]["count"] == 1
    assert scatter("a", ("x", "y"), [1.0, float("inf")], [2.0, 3.0])["x"] == [1.0]


def test_a_manifest_does_not_grow_with_the_data() -> None:
    many = np.arange(50_001)
    points = scatter("a", ("x", "y"), many, many)
    assert len(points["x"]) <= MOST_POINTS
    assert points["num"] == 50_001
    line = curve("a", ("x", "y"), {"s": (many, many)})["series"]["s"]
    assert len(line["x"]) <= MOST_ON_CURVE
    assert (line["x"][0], line["x"][-1]) == (0, 50_000)


def test_a_histogram_counts_values_that_rounding_moves_past_the_last_edge() -> None:
    assert histogram("a", ("x", "y"), [0.0, 0.5, 1.0, 1.0000001], [0, 0.5, 1])["counts"] == [1, 3]


def test_micro_scores_by_threshold_equal_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    gold = draw.random((200, 5)) < 0.3
    probabilities = np.clip(0.4 * gold + 0.6 * draw.random((200, 5)), 0, 0.999)
    found = multilabel.score(judged(gold, probabilities), tuple("abcde"), 0.5).details["figures"][0]
    assert found["marks"] == {"current": 0.5}
    for name, reference in (("micro F1", sk.f1_score), ("precision", sk.precision_score)):
        points = dict(zip(found["series"][name]["x"], found["series"][name]["y"], strict=True))
        for threshold in (0.1, 0.5, 0.8):
            expected = reference(gold, probabilities >= threshold, average="micro", zero_division=1)
            assert points[threshold] == pytest.approx(expected, abs=1e-5)


def test_texts_are_counted_by_their_number_of_labels() -> None:
    gold = np.array([[1, 1], [1, 0], [0, 0]], bool)
    probabilities = np.array([[0.9, 0.9], [0.9, 0.9], [0.1, 0.1]])
    (found,) = multilabel.score(judged(gold, probabilities), ("a", "b"), 0.5).details["tables"]
    assert found["rows"] == [["0", 1, 1, 1.0], ["1", 1, 0, 0.0], ["2", 1, 2, 1.0]]


def test_the_maximum_of_the_threshold_curve_is_the_best_f1() -> None:
    gold = [["ada"], [], ["bo"], [], ["the red lamp"]]
    best = ["ada", "x", "y", "z", "red lamp on"]
    margins = np.array([-5.0, -1.0, 0.5, 2.0, -3.0])
    scores = answers.score(gold, best, best, margins, np.full(5, 0.5), threshold=1.5)
    by_threshold, calibrated = scores.details["figures"]
    points = by_threshold["series"]["F1"]
    assert max(points["y"]) == pytest.approx(scores["best_f1"])
    assert points["x"][int(np.argmax(points["y"]))] == scores["best_null_threshold"]
    assert by_threshold["marks"] == {"current": 1.5, "best": scores["best_null_threshold"]}
    assert scores.details["baseline"]["value"] == pytest.approx(0.4)
    assert calibrated["bins"][0]["right"] == scores["em"]


def test_answerable_questions_have_no_threshold_curve() -> None:
    details = answers.score([["a b"]], ["a"], ["a"], np.array([-1.0])).details
    assert details["figures"] == []
    assert [row[0] for row in details["tables"][0]["rows"]] == ["answerable"]
    assert "baseline" not in details


@pytest.mark.parametrize("grades", [[1, 0, 0], [2, 1, 0, 0], [0, 0, 0, 1, 3]])
def test_the_score_of_random_order_is_the_mean_over_all_orders(grades: list[int]) -> None:
    places = np.arange(len(grades), 0, -1.0)
    of_orders = [
        ranking.ndcg(ranking.Judged(np.array(order, float), places)) for order in permutations(grades)
    ]
    details = ranking.details([ranking.Judged(np.array(grades, float), places)])
    assert details["baseline"]["value"] == pytest.approx(np.mean([s for s in of_orders if s is not None]))


def test_queries_are_counted_by_the_rank_of_their_first_relevant_document() -> None:
    def query(place: int) -> ranking.Judged:
        return ranking.Judged((np.arange(20) == place - 1).astype(float), -np.arange(20.0))

    details = ranking.details([query(1), query(1), query(3), query(15), ranking.Judged(*np.zeros((2, 4)))])
    assert details["tables"][0]["rows"] == [
        ["1", 2, 0.5], ["2 to 3", 1, 0.25], ["4 to 10", 0, 0.0], ["11 or later", 1, 0.25],
    ]  # fmt: skip
    assert (details["count"], details["queries_without_relevant"]) == (4, 1)
    assert sum(details["figures"][0]["counts"]) == 4


def test_every_gold_entity_is_counted_once_by_its_outcome() -> None:
    gold = [[(0, 2, "X"), (3, 5, "X"), (6, 9, "Y"), (10, 12, "Y"), (13, 15, "Y")]]
    predicted = [[(0, 2, "X"), (3, 5, "Y"), (6, 8, "Y"), (10, 11, "X"), (20, 22, "Z")]]
    rows = {row[0]: row[1:] for row in spans.error_table(gold, predicted)["rows"]}
    # correct, wrong label, wrong boundaries, both wrong, missed, spurious
    assert rows == {"X": [1, 1, 0, 0, 0, 0], "Y": [0, 0, 1, 1, 1, 0], "Z": [0, 0, 0, 0, 0, 1]}
