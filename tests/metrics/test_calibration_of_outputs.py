"""Temperature scaling against scikit-learn, and the measures of calibration."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from bertune.metrics.calibration import (
    HIGHEST,
    LOWEST,
    Calibration,
    OutputScale,
    Terms,
    comparison,
    fit_temperature,
    measure,
    note_for_other_libraries,
)


def drawn(temperature: float, rows: int = 4000, labels: int = 5, seed: int = 0) -> Terms:
    """Outputs that are calibrated after division by `temperature`."""
    random = np.random.default_rng(seed)
    true_NC = random.normal(0, 1.5, (rows, labels))
    shares_NC = np.exp(true_NC) / np.exp(true_NC).sum(1, keepdims=True)
    gold_N = np.array([random.choice(labels, p=share) for share in shares_NC])
    return Terms("softmax", true_NC * temperature, gold_N)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_overconfident_and_underconfident_outputs_is_found(temperature: float) -> None:
    terms = drawn(temperature)
    found = fit_temperature(terms)
    assert found.temperatures[0] == pytest.approx(temperature, rel=0.06)
    assert measure(terms, found).ece < 0.02


def test_the_temperature_has_the_lowest_log_loss() -> None:
    terms = drawn(2.5, rows=500)
    best = measure(terms, fit_temperature(terms)).log_loss
    others = [measure(terms, Calibration((float(t),))).log_loss for t in np.geomspace(0.5, 10, 40)]
    assert best <= min(others) + 1e-4


def test_few_rows_move_the_temperature_less_than_their_noise_would() -> None:
    errors: dict[str, list[float]] = {"with": [], "without": []}
    for seed in range(40):
        terms = drawn(1.0, rows=20, seed=seed)
        errors["with"].append(np.log(fit_temperature(terms).temperatures[0]))
        errors["without"].append(np.log(fit_temperature(terms, prior=0.0).temperatures[0]))
    assert np.std(errors["with"]) < 0.85 * np.std(errors["without"])
    assert abs(np.mean(errors["with"])) < 0.1


def test_many_labels_do_not_make_a_confident_model_doubtful() -> None:
    random = np.random.default_rng(3)
    gold_N = random.integers(0, 100, 60)
    terms = Terms("softmax", random.normal(0, 1, (60, 100)) + 12 * np.eye(100)[gold_N], gold_N)
    assert fit_temperature(terms).temperatures[0] <= 1  # all answers are right


def test_measures_equal_those_of_scikit_learn() -> None:
    terms = drawn(2.0, rows=300)
    chances_NC = terms.probabilities(None)
    found = measure(terms, None)
    assert found.log_loss == pytest.approx(log_loss(terms.gold, chances_NC, labels=range(5)))
    assert found.brier == pytest.approx(
        brier_score_loss(terms.gold, chances_NC, labels=range(5), scale_by_half=False)
    )


def test_a_model_that_is_always_right_keeps_finite_confidence() -> None:
    gold_N = np.arange(100) % 2
    terms = Terms("softmax", np.where(np.eye(2)[gold_N] == 1, 1.0, -1.0), gold_N)
    (temperature,) = fit_temperature(terms).temperatures
    assert LOWEST < temperature < HIGHEST
    assert terms.probabilities(Calibration((temperature,))).max() < 1


def test_labels_have_their_own_temperatures_unless_they_are_rare() -> None:
    random = np.random.default_rng(1)
    true_NC = random.normal(0, 2, (3000, 3)) + np.array([0, 0, -9])  # the third label is rare
    gold_NC = (random.uniform(size=true_NC.shape) < 1 / (1 + np.exp(-true_NC))).astype(int)
    found = fit_temperature(Terms("sigmoid", true_NC * np.array([2.0, 0.5, 1.0]), gold_NC)).temperatures
    assert found[:2] == pytest.approx((2.0, 0.5), rel=0.12)
    assert gold_NC[:, 2].sum() < 20
    shared = fit_temperature(
        Terms("sigmoid", (true_NC * np.array([2.0, 0.5, 1.0])).reshape(-1, 1), gold_NC.reshape(-1, 1))
    )
    assert found[2] == pytest.approx(shared.temperatures[0], rel=0.05)


def test_choices_of_different_numbers_are_calibrated_together() -> None:
    pairs = [
        (np.array([[4.0, 0.0]]), np.array([1])),
        (np.array([[4.0, 0.0, 0.0]]), np.array([0])),
    ] * 40
    terms = Terms.of("softmax", pairs)
    assert terms.logits_NC.shape == (80, 3)
    assert fit_temperature(terms).temperatures[0] > 4  # half of the confident answers are wrong


def test_the_confidence_in_a_first_candidate_becomes_its_accuracy() -> None:
    random = np.random.default_rng(2)
    right_N = (random.uniform(size=1000) < 0.7).astype(int)
    terms = Terms("top", np.tile([3.0, 0.0, 0.0], (1000, 1)), right_N)
    chances_N = terms.probabilities(fit_temperature(terms))[:, 0]
    assert chances_N.mean() == pytest.approx(right_N.mean(), abs=0.02)


def test_the_comparison_shows_both_states() -> None:
    terms = drawn(3.0, rows=1000)
    table, figure = comparison(terms, fit_temperature(terms), "texts")
    before, after = table["rows"][0][1:]
    assert before > 2 * after
    assert figure["error"] == pytest.approx(after) and figure["error_before"] == pytest.approx(before)


def test_the_temperature_is_named_for_other_libraries() -> None:
    logits = np.array([[2.0, -1.0]])
    assert "divided by 2.5," in note_for_other_libraries(Calibration((2.5,)).remaining(None))
    assert np.allclose(Calibration((2.5,)).scaled(logits), logits / 2.5)
    assert "labels, 2, 0.5," in note_for_other_libraries([2.0, 0.5])
    folded = OutputScale.of(Calibration((2.0, 4.0)))
    assert Calibration((2.0, 4.0)).remaining(folded) == [1.0]
    assert Calibration((6.0,)).remaining(folded) == [3.0, 1.5]
