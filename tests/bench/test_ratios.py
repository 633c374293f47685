"""Paired ratios and intervals, with values calculated by hand."""

import pytest

from bertune.bench.figures import contestant_figures, flagged, floor_figures, ratio_figures
from bertune.bench.floor import Load, Shape, training_flops
from bertune.bench.job import Job
from bertune.bench.ratios import by_round, ratio, summary
from bertune.bench.runner import Contestant, Outcome, Round

SIDES = [Contestant("bertune", "bertune", ()), Contestant("best", "best", ())]


def outcome(rate: float, **numbers: object) -> Outcome:
    return Outcome(2.0, 3.0, 100.0, {"examples_per_second": rate, **numbers})


def rounds_of(*rates: tuple[float, float]) -> list[Round]:
    return [
        Round(n, {"bertune": outcome(ours), "best": outcome(theirs)}, (1.0, 1.0), None)
        for n, (ours, theirs) in enumerate(rates, start=1)
    ]


def test_the_median_of_the_ratios_is_not_the_ratio_of_the_medians() -> None:
    found = ratio({1: 20.0, 2: 90.0, 3: 40.0}, {1: 10.0, 2: 30.0, 3: 40.0}, "examples_per_second")
    assert found is not None
    assert found["rounds"] == {"1": 2.0, "2": 3.0, "3": 1.0}
    assert found["median"] == 2.0
    assert (found["low"], found["high"]) == (1.0, 3.0)
    assert found["best"] == pytest.approx(90 / 40)


def test_a_ratio_of_times_is_a_speed_up() -> None:
    found = ratio({1: 10.0, 2: 20.0}, {1: 30.0, 2: 60.0}, "wall_seconds")
    assert found is not None and found["median"] == 3.0 and found["best"] == 3.0


def test_a_ratio_of_memory_is_ours_over_theirs() -> None:
    found = ratio({1: 500.0}, {1: 1000.0}, "peak_rss_mb")
    assert found is not None and found["median"] == 0.5 and found["count"] == 1


def test_only_rounds_with_both_contestants_are_paired() -> None:
    found = ratio({1: 10.0, 2: 20.0, 3: 30.0}, {2: 10.0}, "examples_per_second")
    assert found is not None and found["rounds"] == {"2": 2.0}
    assert ratio({1: 10.0}, {2: 10.0}, "examples_per_second") is None


def test_the_interval_is_deterministic_and_contains_the_median() -> None:
    values = [1.0, 1.1, 0.9, 1.3, 1.05, 0.95, 1.2]
    first, again = summary(values), summary(values)
    assert first == again
    assert min(values) <= first.low < first.median < first.high <= max(values)
    assert first.median == 1.05


def test_an_interval_of_equal_values_has_zero_width() -> None:
    assert summary([2.0, 2.0, 2.0]) == summary([2.0] * 3)
    assert (summary([2.0] * 3).low, summary([2.0] * 3).high) == (2.0, 2.0)


def test_a_failed_contestant_has_an_error_and_no_ratio() -> None:
    rounds = [
        Round(1, {"bertune": outcome(10.0), "best": Outcome(1.0, 1.0, 9.0, error="boom")}, (1, 1), None)
    ]
    assert contestant_figures(rounds, SIDES[1], "examples_per_second") == {"title": "best", "error": "boom"}
    assert ratio_figures(rounds, SIDES, "bertune", "examples_per_second") == {}
    assert by_round(rounds, "best", "wall_seconds") == {}


def test_padding_waste_is_the_fraction_of_padding_tokens() -> None:
    numbers = {"load": {"tokens": 60}, "padded_load": {"tokens": 80}, "steps": 3}
    rounds = [Round(1, {"best": outcome(1.0, **numbers)}, (1.0, 1.0), None)]
    assert contestant_figures(rounds, SIDES[1], "examples_per_second")["padding_waste"] == 0.25


def test_a_round_is_flagged_if_the_machine_drifts_or_the_host_steals_time() -> None:
    quiet, drifted = Round(1, {}, (1.0, 1.04), 0.01), Round(2, {}, (1.0, 1.06), 0.0)
    stolen = Round(3, {}, (1.0, 1.0), 0.03)
    assert flagged([quiet, drifted, stolen]) == [2, 3]


def test_the_fraction_of_the_floor_counts_updated_and_all_parameters() -> None:
    shape, load = Shape(2, 32, 37, 32, 2), Load.of([7] * 10)
    flops = training_flops(load, shape)
    peaks = {"square_flops": flops / 1.0, "shapes_flops": 1.0, "copy_bytes": 28e6, "triad_bytes": 1.0}
    numbers = {
        "load": vars(load), "padded_load": vars(load), "steps": 2, "seconds": 10.0,
        "trained_parameters": 1_000_000, "updated_parameters": 500_000, "used_ids": 9,
    }  # fmt: skip
    outcomes = {"bertune": outcome(1.0, **numbers), "peaks": Outcome(1.0, 1.0, 1.0, dict(peaks))}
    job = Job("", "", "", 10, 1, ("a", "b"), 7)
    found = floor_figures([Round(1, outcomes, (1.0, 1.0), None)], job, shape, "bertune", "peaks")
    assert found is not None
    # One second of arithmetic. Two steps move 28 MB or 14 MB each, which takes 1 s or 0.5 s per step.
    assert found["all"]["median"] == pytest.approx((1 + 2 * 1.0) / 10)
    assert found["updated"]["median"] == pytest.approx((1 + 2 * 0.5) / 10)
    assert found["arithmetic"]["median"] == pytest.approx(0.1)


def test_ratios_are_reported_by_contestant() -> None:
    found = ratio_figures(rounds_of((20, 10), (30, 10), (40, 10)), SIDES, "bertune", "examples_per_second")
    assert list(found) == ["best"] and found["best"]["median"] == 3.0
