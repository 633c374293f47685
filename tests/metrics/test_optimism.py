"""The optimism of the best of several scores, against simulations in which the truth is known."""

import numpy as np
import pytest

from bertune.metrics.optimism import expected_maximum, optimism


def test_the_expected_maximum_of_standard_normal_numbers() -> None:
    """The values of the tables, such as Harter 1961: 1/sqrt(pi) for two numbers."""
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(np.pi**-0.5)
    assert expected_maximum(10) == pytest.approx(1.53875, abs=1e-5)
    assert expected_maximum(100) == pytest.approx(2.50759, abs=1e-5)


def simulated(spread: float, seed: int) -> tuple[float, float, float]:
    """True optimism of the best of 12 models on 200 rows, and the two estimates."""
    draw = np.random.default_rng(seed)
    quality_T = 0.7 + spread * draw.standard_normal(12)
    shared_N = 0.3 * draw.standard_normal(200)  # rows that are easy or hard for all models
    right_TN = quality_T[:, None] + shared_N + 0.4 * draw.standard_normal((12, 200))
    rows_RN = draw.integers(200, size=(200, 200))
    found = optimism(right_TN[:, rows_RN].mean(axis=2), lower_is_better=False)
    assert found is not None
    score_T = right_TN.mean(axis=1)
    best = score_T.argmax()
    # What all models gain on these rows is not part of the selection.
    return score_T[best] - quality_T[best] - shared_N.mean(), found.expected, found.ceiling


@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_the_estimates_bracket_the_true_optimism(spread: float) -> None:
    true, expected, ceiling = np.mean([simulated(spread, seed) for seed in range(30)], axis=0)
    assert expected < true * 1.1
    assert true < ceiling * 1.1
    assert expected > 0.4 * true
    if spread == 0:
        assert ceiling == pytest.approx(true, rel=0.15)


def test_the_direction_of_the_score_does_not_matter() -> None:
    values_TR = np.random.default_rng(0).normal(size=(5, 300))
    found = optimism(values_TR, lower_is_better=False)
    assert found == optimism(-values_TR, lower_is_better=True)
    assert optimism(values_TR[:1], lower_is_better=False) is None
