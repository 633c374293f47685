"""The later checkpoint is selected unless an earlier one is better by more than chance."""

from typing import Any

import numpy as np
import pytest

from bertune.training.selection import Ranked, is_clearly_better, scores_without


def ranked(step: int, right_N: np.ndarray[Any, Any], num_groups: int = 10) -> Ranked:
    """An evaluation of accuracy, given the rows that each model predicted correctly."""
    groups_N = np.arange(len(right_N)) % num_groups
    without = tuple(float(right_N[groups_N != g].mean()) for g in range(num_groups))
    return Ranked(step, float(right_N.mean()), without)


def pair(num: int, won: int, lost: int) -> tuple[Ranked, Ranked]:
    """Two models that differ on `won` + `lost` rows; the earlier one is correct on `won` of them."""
    earlier, later = np.ones(num), np.ones(num)
    rows = np.random.default_rng(1).permutation(num)
    later[rows[:won]] = 0
    earlier[rows[won : won + lost]] = 0
    return ranked(1, earlier), ranked(2, later)


def test_a_difference_within_chance_does_not_count() -> None:
    earlier, later = pair(500, won=13, lost=12)
    assert is_clearly_better(earlier, later, "accuracy", margin=0.0)
    assert not is_clearly_better(earlier, later, "accuracy", margin=1.0)


def test_a_difference_beyond_chance_counts() -> None:
    earlier, later = pair(500, won=30, lost=5)
    assert is_clearly_better(earlier, later, "accuracy", margin=2.0)
    assert not is_clearly_better(later, earlier, "accuracy", margin=0.0)


def test_the_standard_error_equals_that_of_a_paired_mean() -> None:
    """The margin at which the selection changes equals the textbook formula for paired differences."""
    draw, ratios = np.random.default_rng(5), []
    for _ in range(200):
        earlier_N = (draw.random(400) < 0.8).astype(float)
        later_N = np.where(draw.random(400) < 0.9, earlier_N, draw.random(400) < 0.6)
        earlier, later = ranked(1, earlier_N), ranked(2, later_N)
        if earlier.value <= later.value:  # type: ignore[operator]
            continue
        expected = (earlier_N - later_N).std(ddof=1) / 20
        low, high = 0.0, 100.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if is_clearly_better(earlier, later, "accuracy", middle) else (low, middle)
            )
        ratios.append((earlier.value - later.value) / low / expected)  # type: ignore[operator]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("without", [(), (0.8, None, 0.9), (0.8, float("nan"), 0.9)])
def test_any_difference_counts_if_the_noise_is_unknown(without: tuple[float | None, ...]) -> None:
    later = Ranked(2, 0.80, (0.8, 0.8, 0.8) if without else ())
    assert is_clearly_better(Ranked(1, 0.81, without), later, "accuracy", margin=1.0)


def test_lower_is_better_for_losses() -> None:
    low, high = Ranked(1, 0.3, (0.3, 0.3, 0.3)), Ranked(2, 0.5, (0.5, 0.5, 0.5))
    assert is_clearly_better(low, high, "log_loss", margin=1.0)
    assert not is_clearly_better(high, low, "log_loss", margin=1.0)


def test_the_later_of_equal_evaluations_is_selected() -> None:
    assert not is_clearly_better(Ranked(1, 0.8), Ranked(2, 0.8), "accuracy", margin=0.0)


class Fitted:
    """A task whose score is the accuracy, with groups of four rows."""

    def __init__(self, rows_of_a_group: int = 1) -> None:
        self.task, self.size, self.seen = self, rows_of_a_group, []  # type: ignore[var-annotated]

    def group_key(self, example: int) -> str | None:
        return None if self.size == 1 else str(example // self.size)

    def score(self, predictions: list[int], examples: list[int]) -> Any:
        self.seen.append(examples)
        value = float(np.mean([p == e for p, e in zip(predictions, examples, strict=True)]))
        return type("Scores", (), {"values": {"accuracy": value}})


def test_every_row_is_left_out_once_and_groups_stay_together() -> None:
    fitted: Any = Fitted(rows_of_a_group=4)
    rows = list(range(120))
    assert scores_without(fitted, rows, rows, "accuracy") == (1.0,) * 10
    left_out = [set(rows) - set(seen) for seen in fitted.seen]
    assert sorted(row for rows_out in left_out for row in rows_out) == rows
    assert all({row // 4 * 4 + i for i in range(4)} <= rows_out for rows_out in left_out for row in rows_out)


def test_the_noise_is_unknown_with_too_few_rows() -> None:
    fitted: Any = Fitted()
    assert scores_without(fitted, list(range(19)), list(range(19)), "accuracy") == ()
    assert scores_without(fitted, list(range(99)), list(range(99)), "loss") == ()
