"""Correlations and errors against SciPy and scikit-learn, which bertune does not need to compute them."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from bertune.metrics.arrays import FloatArray
from bertune.metrics.correlation import average_ranks, correlations, errors_of
from bertune.metrics.scores import unweighted

RNG = np.random.default_rng(5)
NOISE = RNG.normal(size=50)
PAIRS = {
    "related": (NOISE, NOISE + RNG.normal(size=50)),
    "opposite": (NOISE, -NOISE),
    "many ties": (RNG.integers(0, 3, 50).astype(float), RNG.integers(0, 3, 50).astype(float)),
    "far from 0": (NOISE + 1e7, RNG.normal(size=50) + 1e7),
    "tiny": (NOISE * 1e-200, NOISE * 1e-200 + RNG.normal(size=50) * 1e-200),
    "huge": (NOISE * 1e200, RNG.normal(size=50)),
    "two": (np.array([1.0, 2.0]), np.array([5.0, 3.0])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_correlations_equal_those_of_scipy(name: str) -> None:
    gold, predicted = PAIRS[name]
    pearson, spearman = pearsonr(gold, predicted)[0], spearmanr(gold, predicted)[0]
    assert correlations(gold, predicted) == {
        "pearson": pytest.approx(pearson, abs=1e-9),
        "spearman": pytest.approx(spearman, abs=1e-12),
        "pearson_spearman": pytest.approx((pearson + spearman) / 2, abs=1e-9),
    }


def errors(gold_N: FloatArray, predicted_N: FloatArray) -> dict[str, float | None]:
    return unweighted(lambda weights_RN: errors_of(gold_N, predicted_N, weights_RN), len(gold_N))


@pytest.mark.parametrize("name", ["related", "opposite", "many ties", "far from 0", "two"])
def test_errors_equal_those_of_scikit_learn(name: str) -> None:
    gold, predicted = PAIRS[name]
    mse = mean_squared_error(gold, predicted)
    expected = {"mse": mse, "rmse": mse**0.5, "mae": mean_absolute_error(gold, predicted)}
    assert errors(gold, predicted) == pytest.approx({**expected, "r2": r2_score(gold, predicted)}, rel=1e-9)


@pytest.mark.parametrize("predicted", [[2.0, 2.0], [2.0, 3.0]])
def test_r2_of_equal_gold_values_equals_that_of_scikit_learn(predicted: list[float]) -> None:
    gold = np.array([2.0, 2.0])
    assert errors(gold, np.array(predicted))["r2"] == r2_score(gold, predicted)


def test_r2_of_a_single_text_is_undefined() -> None:
    assert errors(np.array([1.0]), np.array([2.0]))["r2"] is None


@pytest.mark.parametrize("name", PAIRS)
def test_ranks_equal_those_of_scipy(name: str) -> None:
    for values in PAIRS[name]:
        assert average_ranks(values).tolist() == rankdata(values).tolist()
