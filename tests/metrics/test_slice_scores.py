"""Scores of slices compared with the rest."""

import numpy as np
import pytest

from bertune.metrics.scores import Scores, weighted_mean
from bertune.metrics.slices import Slice, by_value, quartiles, score_slices


def accuracy_of(is_right: np.ndarray) -> Scores:
    return Scores.of(
        lambda weights: {"accuracy": weighted_mean(weights, is_right.astype(float))}, len(is_right), {}
    )


def halves(num: int) -> list[Slice]:
    first = np.arange(num) < num // 2
    return [Slice("half", "first", first), Slice("half", "second", ~first)]


def test_a_slice_with_more_errors_is_worse_and_comes_first():
    is_right = np.ones(400, bool)
    is_right[:200:4] = False  # a quarter of the first half
    is_right[200::20] = False
    found = score_slices(halves(400), accuracy_of(is_right), np.arange(400), "accuracy")
    assert [one.name for one in found] == ["first", "second"]
    assert [one.verdict for one in found] == ["worse", "better"]
    assert (found[0].value, found[0].rest, found[0].rows) == (0.75, 0.95, 200)
    low, high = found[0].interval
    assert low < 0.75 < high
    # The standard error of the difference of two shares.
    error = np.sqrt(0.75 * 0.25 / 200 + 0.95 * 0.05 / 200)
    assert found[0].difference.high - found[0].difference.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_slices_at_random_are_rarely_different():
    false_alarms = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        is_right = draw.random(300) < 0.8
        slices = [Slice("random", str(i), draw.random(300) < 0.3) for i in range(10)]
        found = score_slices(slices, accuracy_of(is_right), np.arange(300), "accuracy")
        assert len(found) == 10
        false_alarms += any(one.verdict for one in found)
    assert false_alarms <= 3  # 1 of 20 is expected


def test_rows_of_a_group_are_resampled_together():
    is_right = np.repeat(np.arange(80) % 2 == 0, 10)  # groups of ten equal rows
    both = [
        score_slices(halves(800), accuracy_of(is_right), units, "accuracy")[0].difference
        for units in (np.arange(800), np.repeat(np.arange(80), 10))
    ]
    widths = [one.high - one.low for one in both]
    assert widths[1] > 2.5 * widths[0]  # the square root of ten, 3.2


def test_small_slices_are_left_out():
    tiny = Slice("label", "rare", np.arange(100) < 5)
    assert score_slices([tiny], accuracy_of(np.arange(100) % 3 > 0), np.arange(100), "accuracy") == []


def test_quartiles_name_their_range_and_merge_equal_values():
    found = quartiles("length", np.array([1] * 50 + list(range(2, 52))), "tokens")
    assert [one.name for one in found] == ["1 tokens", "2 to 26 tokens", "27 to 51 tokens"]
    assert sum(one.is_in.sum() for one in found) == 100
    assert quartiles("length", np.full(9, 3)) == []


def test_values_can_overlap_and_the_most_frequent_are_kept():
    found = by_value("label", [("a", "b"), ("a",), ("c", "c"), ("a",)], 2)
    assert [(one.name, one.is_in.sum()) for one in found] == [("a", 3), ("b", 1)]
