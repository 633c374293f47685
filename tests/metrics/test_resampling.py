"""Intervals and paired comparisons, on scores whose variation is known."""

import numpy as np
import pytest

from bertune.metrics import comparison, resampling
from bertune.metrics.arrays import FloatArray
from bertune.metrics.scores import Scores, weighted_mean


def mean_of(values_N: FloatArray) -> Scores:
    """A score that is the mean of some values."""
    return Scores.of(lambda weights_RN: {"mean": weighted_mean(weights_RN, values_N)}, len(values_N), {})


def ends(scores: Scores, units: FloatArray) -> list[float]:
    found = resampling.intervals(scores, resampling.resampled(scores, units.astype(int), lambda rows: {}))[
        "mean"
    ]
    assert found is not None
    return found


def test_the_interval_of_a_mean_is_two_standard_errors_wide_on_either_side() -> None:
    values_N = np.random.default_rng(1).normal(3, 2, size=400)
    low, high = ends(mean_of(values_N), np.arange(400))
    error = values_N.std() / 20
    assert low == pytest.approx(values_N.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values_N.mean() + 1.96 * error, abs=0.15 * error)


def test_whole_groups_are_resampled() -> None:
    """Four equal rows per group carry the information of one, so the interval is twice as wide."""
    values_N = np.repeat(np.random.default_rng(2).normal(size=100), 4)
    keys = [f"query {i // 4}" for i in range(400)]
    grouped, single = (
        ends(mean_of(values_N), resampling.units_of(of_rows)) for of_rows in (keys, [None] * 400)
    )
    assert np.ptp(grouped) == pytest.approx(2 * np.ptp(single), rel=0.1)


def test_without_variation_or_with_few_rows_there_is_no_interval() -> None:
    perfect = mean_of(np.ones(50))
    found = resampling.resampled(perfect, np.arange(50), lambda rows: {})
    assert resampling.intervals(perfect, found) == {"mean": None}
    few = mean_of(np.arange(9.0))
    assert resampling.resampled(few, np.arange(9), lambda rows: {}) is None
    assert resampling.intervals(few, None) == {}


def test_scores_without_weights_are_computed_for_halves_of_the_rows() -> None:
    values_N = np.random.default_rng(4).normal(size=200)
    plain = Scores({"mean": float(values_N.mean())})
    found = resampling.resampled(
        plain, np.arange(200), lambda rows: {"mean": float(values_N[list(rows)].mean())}
    )
    assert found is not None and found.method == "half-samples"
    both = resampling.intervals(plain, found)["mean"]
    assert both is not None
    assert np.ptp(both) == pytest.approx(np.ptp(ends(mean_of(values_N), np.arange(200))), rel=0.25)


def compared(first_N: FloatArray, second_N: FloatArray) -> comparison.Difference:
    units = np.arange(len(first_N))
    scores = [mean_of(values_N) for values_N in (first_N, second_N)]
    one, other = (resampling.resampled(s, units, lambda rows: {}) for s in scores)
    found = comparison.differences(scores[0].values, scores[1].values, (one, other))["mean"]
    assert found is not None
    return found


def test_equal_predictions_have_no_difference() -> None:
    values_N = np.random.default_rng(5).random(100)
    assert compared(values_N, values_N) == comparison.Difference(0.0, 0.0, 0.0, 1.0)


def test_a_small_difference_on_the_same_rows_is_found_because_their_noise_cancels() -> None:
    draw = np.random.default_rng(6)
    easy_N = draw.normal(0, 10, size=100)
    better = compared(easy_N, easy_N + draw.normal(0.5, 0.5, size=100))
    assert better.p < 0.01 and 0 < better.low < better.value < better.high
    assert compared(easy_N, draw.permutation(easy_N) + 0.5).p > 0.05  # the same difference, unpaired


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_tests() -> None:
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.6, 0.9]) == [1.0, 1.0]
    assert comparison.holm([]) == []


def test_other_scores_are_only_significant_if_the_primary_score_is() -> None:
    one = {"mcc": 0.01, "accuracy": 0.001, "log_loss": 0.04}
    assert comparison.adjusted([one], "mcc") == [{"mcc": 0.01, "accuracy": 0.01, "log_loss": 0.04}]
    assert comparison.adjusted([one], "log_loss") == [{"log_loss": 0.04, "mcc": 0.04, "accuracy": 0.04}]


def test_scores_of_several_comparisons_are_corrected_for_their_number() -> None:
    three = [{"mcc": p, "accuracy": 0.001} for p in (0.01, 0.02, 0.4)]
    assert comparison.adjusted(three, "mcc") == [
        {"mcc": 0.03, "accuracy": 0.03},
        {"mcc": 0.04, "accuracy": 0.04},
        {"mcc": 0.4, "accuracy": 0.4},
    ]


def test_other_scores_are_tested_alone_if_the_primary_score_is_undefined() -> None:
    assert comparison.adjusted([{"accuracy": 0.02, "log_loss": 0.5}], "mcc") == [
        {"accuracy": 0.04, "log_loss": 0.5}
    ]


def test_an_interval_contains_its_score_if_resampling_shifts_it() -> None:
    """As it does the average precision of labels with few rows."""
    shifted_R = np.linspace(0.062, 0.083, 2000)
    found = resampling.interval(0.054, shifted_R)
    assert found is not None and found[0] == 0.054 and found[1] == pytest.approx(0.0825, abs=0.001)
