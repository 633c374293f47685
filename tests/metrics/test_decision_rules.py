"""Guarantees: exact bounds, violations in simulations, and what is said if nothing qualifies."""

import numpy as np
import pytest
from scipy import stats

from bertune.metrics import decisions
from bertune.metrics.decisions import DecisionRule, Judged


@pytest.mark.parametrize(("wrong", "answered", "rate"), [(0, 149, 0.02), (7, 400, 0.05), (900, 50_000, 0.02)])
def test_p_values_and_bounds_are_exact(wrong: int, answered: int, rate: float) -> None:
    assert decisions.binomial_p_value(wrong, answered, rate) == pytest.approx(
        stats.binom.cdf(wrong, answered, rate), rel=1e-6
    )
    bound = decisions.upper_bound(wrong, answered, 0.95)
    assert bound == pytest.approx(stats.beta.ppf(0.95, wrong + 1, answered - wrong), rel=1e-6)


def drawn(random: np.random.Generator, rows: int) -> Judged:
    """Independent answers with less error at higher confidence."""
    confidence = random.uniform(0.3, 1, rows)
    return Judged(confidence, random.uniform(size=rows) < 0.6 * (1 - confidence), np.arange(rows))


def drawn_in_groups(random: np.random.Generator, groups: int) -> Judged:
    """Groups of one to six answers that are nearly copies of each other."""
    group = np.repeat(np.arange(groups), random.integers(1, 7, groups))
    confidence = random.uniform(0.3, 1, groups)[group]
    is_wrong = random.uniform(size=groups)[group] < 0.6 * (1 - confidence)
    return Judged(confidence, is_wrong, group)


def true_rate(threshold: float) -> float:
    return float(np.mean(0.6 * (1 - np.linspace(threshold, 1, 1001))))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_guarantee_is_kept_where_a_naive_threshold_breaks_it(grouped: bool) -> None:
    draw = drawn_in_groups if grouped else drawn
    broken = naively_broken = found = 0
    runs = 120
    for seed in range(runs):
        random = np.random.default_rng(seed)
        rows = draw(random, 600)
        fit = decisions.fit_guarantee(draw(random, 300), rows, 0.08, 0.9)
        if fit.threshold is not None:
            found += 1
            broken += true_rate(max(0.3, fit.threshold)) > 0.08
        naive = decisions.naive_threshold(rows, 0.08)
        naively_broken += naive is not None and true_rate(naive) > 0.08
    assert broken / runs <= 0.1
    assert naively_broken / runs > 0.3
    assert found > (0.2 if grouped else 0.6) * runs  # rows of a group are less evidence


def test_copies_of_rows_do_not_count_as_evidence() -> None:
    """150 right answers suffice for 2%; 150 copies of ten right answers do not."""
    confidence, is_wrong = np.ones(160), np.zeros(160, bool)
    apart = Judged(confidence, is_wrong, np.arange(160))
    together = Judged(confidence, is_wrong, np.arange(160) % 10)
    assert decisions.p_value(apart, 0.5, 0.02) < 0.05
    assert decisions.p_value(together, 0.5, 0.02) > 0.5


def test_everything_is_answered_by_a_model_without_errors() -> None:
    rows = Judged(np.linspace(0.5, 1, 400), np.zeros(400, bool), np.arange(400))
    fit = decisions.fit_guarantee(rows, rows, 0.02, 0.95)
    assert fit.share == 1 and fit.wrong == 0 and fit.threshold == 0


def test_too_few_rows_say_how_many_more_are_needed() -> None:
    rows = Judged(np.linspace(0.9, 1, 60), np.zeros(60, bool), np.arange(60))
    fit = decisions.fit_guarantee(rows, rows, 0.02, 0.95)
    assert fit.threshold is None and fit.needed is not None
    more = 60 + fit.needed
    enough = Judged(np.linspace(0.9, 1, more), np.zeros(more, bool), np.arange(more))
    assert decisions.fit_guarantee(enough, enough, 0.02, 0.95).share > 0
    assert fit.needed < 1000


def test_more_rows_do_not_help_a_model_that_is_often_wrong() -> None:
    rows = Judged(np.linspace(0.5, 1, 400), np.arange(400) % 4 == 0, np.arange(400))
    fit = decisions.fit_guarantee(rows, rows, 0.02, 0.95)
    assert fit.threshold is None and fit.needed is None


def test_the_rule_reviews_low_confidence_and_questions_without_a_threshold() -> None:
    rule = DecisionRule({"": 0.8, "rare": None})
    assert [rule.decision(c) for c in (0.79, 0.8, 1.0)] == ["review", "answer", "answer"]
    assert rule.decision(1.0, "rare") == rule.decision(1.0, "unknown") == "review"
    assert DecisionRule(cutoffs={"a": 0.3}).decision(0.1) is None


def test_the_risk_curve_ends_at_the_error_rate_of_all_answers() -> None:
    rows = Judged(np.array([0.9, 0.9, 0.6, 0.7]), np.array([False, True, True, False]), np.arange(4))
    shares, rates = decisions.risk_by_coverage(rows)
    assert shares.tolist() == [0.5, 0.75, 1.0]
    assert rates.tolist() == pytest.approx([0.5, 1 / 3, 0.5])


def test_cutoffs_reach_their_targets() -> None:
    random = np.random.default_rng(3)
    chance = random.uniform(size=2000)
    gold = random.uniform(size=2000) < chance
    by_precision = decisions.precision_cutoff(chance, gold, 0.9)
    by_recall = decisions.recall_cutoff(chance, gold, 0.95)
    by_f1 = decisions.best_f1_cutoff(chance, gold)
    assert by_precision is not None and by_recall is not None and by_f1 is not None
    assert gold[chance >= by_precision].mean() >= 0.9
    assert (chance[gold] >= by_recall).mean() >= 0.95
    f1 = [2 * gold[chance >= t].sum() / ((chance >= t).sum() + gold.sum()) for t in np.linspace(0, 0.99, 100)]
    assert 2 * gold[chance >= by_f1].sum() / ((chance >= by_f1).sum() + gold.sum()) >= max(f1)
    assert decisions.precision_cutoff(chance, ~gold & (chance > 2), 0.9) is None
