"""Likely label errors, compared with cleanlab."""

import numpy as np
import pytest

from bertune.metrics import label_errors
from bertune.metrics.label_errors import judge_labels, judge_sets, ranked

cleanlab_filter = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
cleanlab_rank = pytest.importorskip("cleanlab.rank", reason="cleanlab is not installed")


def noisy(num: int, num_classes: int, seed: int = 0):
    """Probabilities, and labels drawn from them; every class has a row."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.full(num_classes, 0.4), num)
    gold = np.array([draw.choice(num_classes, p=row) for row in probabilities])
    gold[:num_classes] = np.arange(num_classes)
    return gold, probabilities


@pytest.mark.parametrize("num_classes", [2, 5, 20])
def test_scores_and_likely_errors_are_those_of_cleanlab(num_classes):
    gold, probabilities = noisy(400, num_classes)
    judged = judge_labels(gold, lambda block: probabilities[block], num_classes)
    theirs = cleanlab_filter.find_label_issues(gold, probabilities, filter_by="low_self_confidence")
    assert 10 < theirs.sum() < 400
    # Among many classes, cleanlab also lists labels with a low probability that are still the most probable.
    assert np.array_equal(judged.is_error, theirs & (probabilities.argmax(axis=1) != gold))
    scores = cleanlab_rank.get_label_quality_scores(gold, probabilities, method="self_confidence")
    assert np.allclose(judged.scores, scores)


def test_sets_of_labels_are_judged_like_each_label_by_cleanlab():
    draw = np.random.default_rng(1)
    probabilities = draw.random((300, 6)) ** 2
    gold = draw.random((300, 6)) < probabilities
    judged = judge_sets(lambda block: gold[block], lambda block: probabilities[block], 300)
    ours = np.array([np.isin(np.arange(6), errors) for errors in judged.errors])
    for label in range(6):
        both = np.stack([1 - probabilities[:, label], probabilities[:, label]], axis=1)
        theirs = cleanlab_filter.find_label_issues(
            gold[:, label].astype(int), both, filter_by="confident_learning"
        )
        assert theirs.any()
        assert np.array_equal(ours[:, label], theirs)
    own = np.where(gold, probabilities, 1 - probabilities)
    assert np.array_equal(judged.scores, own.min(axis=1))


def test_blocks_do_not_change_the_result(monkeypatch):
    gold, probabilities = noisy(300, 4)
    whole = judge_labels(gold, lambda block: probabilities[block], 4)
    monkeypatch.setattr(label_errors, "_CELLS", 40)
    parts = judge_labels(gold, lambda block: probabilities[block], 4)
    assert np.array_equal(whole.is_error, parts.is_error)
    assert np.array_equal(whole.predicted, parts.predicted)


def test_a_class_without_rows_is_never_suggested_as_confident():
    gold, probabilities = np.zeros(30, np.int64), np.tile([0.2, 0.8], (30, 1))
    assert not judge_labels(gold, lambda block: probabilities[block], 2).is_error.any()


def test_likely_errors_come_first_and_then_the_lowest_scores():
    order = ranked(np.array([0.1, 0.9, 0.5, 0.3]), np.array([False, False, True, True]))
    assert order.tolist() == [3, 2, 0, 1]


def test_a_label_that_the_model_never_predicts_is_not_judged():
    gold = np.array([0] * 40 + [1] * 40 + [2] * 20)
    probabilities = np.tile([0.6, 0.3, 0.1], (100, 1))
    probabilities[40:80] = [0.2, 0.7, 0.1]
    probabilities[3] = [0.1, 0.8, 0.1]
    judged = judge_labels(gold, lambda block: probabilities[block], 3)
    assert np.flatnonzero(judged.is_error).tolist() == [3]
    yes = np.full((50, 2), 0.1)
    yes[:25, 0] = 0.9
    given = np.zeros((50, 2), bool)
    given[:26, 0] = True  # the last of them is an error
    given[:10, 1] = True  # a label with low probabilities throughout
    sets = judge_sets(lambda block: given[block], lambda block: yes[block], 50)
    assert {at: errors.tolist() for at, errors in enumerate(sets.errors) if len(errors)} == {25: [0]}
