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


def sets(strength, noise, num=3000, num_labels=12):
    """Sets of labels, of which some are wrong, and calibrated probabilities of the given ones.

    `strength` is how much a model knows: the distance of the scores with and without a label, in standard
    deviations. Returns the labels, the probabilities, and which labels are wrong.
    """
    draw = np.random.default_rng(1)
    base = np.linspace(0.03, 0.3, num_labels)
    has = draw.random((num, num_labels)) < base
    wrong_no = noise * base / (1 - base)
    is_planted = draw.random(has.shape) < np.where(has, noise, wrong_no)
    logit = np.log(base / (1 - base)) + strength * (draw.normal(size=has.shape) + strength * (has - 0.5))
    chance = 1 / (1 + np.exp(-logit))
    return has ^ is_planted, chance * (1 - noise) + (1 - chance) * wrong_no, is_planted


def listed(gold, probabilities):
    judged = judge_sets(lambda block: gold[block], lambda block: probabilities[block], len(gold))
    positions = np.arange(gold.shape[1])
    return judged, np.array([np.isin(positions, errors) for errors in judged.errors])


def listed_by_cleanlab(gold, probabilities, filter_by):
    found = []
    for given, yes in zip(gold.T, probabilities.T, strict=True):
        both = np.stack([1 - yes, yes], axis=1)
        found.append(cleanlab_filter.find_label_issues(given.astype(int), both, filter_by=filter_by))
    return np.stack(found, axis=1)


def test_sets_of_labels_are_judged_like_each_label_by_cleanlab_if_the_model_is_sure():
    draw = np.random.default_rng(1)
    has = draw.random((300, 6)) < 0.3
    probabilities = np.where(has, 1 - draw.random(has.shape) / 500, draw.random(has.shape) / 500)
    gold = has ^ (draw.random(has.shape) < 0.05)
    judged, ours = listed(gold, probabilities)
    theirs = listed_by_cleanlab(gold, probabilities, "confident_learning")
    assert theirs.sum() > 30
    assert np.array_equal(ours, theirs)
    own = np.where(gold, probabilities, 1 - probabilities)
    assert np.array_equal(judged.scores, own.min(axis=1))


@pytest.mark.parametrize("strength", [1.2, 2, 3, 4])
def test_listed_labels_are_more_likely_wrong_than_right_if_as_many_are_wrong_as_assumed(strength):
    gold, probabilities, is_planted = sets(strength, label_errors.NOISE)
    _, ours = listed(gold, probabilities)
    assert ours.sum() > 50
    assert is_planted[ours].mean() > 0.5
    # An overconfident model gives the same list: the probabilities are calibrated first.
    odds = (probabilities / (1 - probabilities)) ** 3
    _, again = listed(gold, odds / (1 + odds))
    assert (ours ^ again).sum() < 0.15 * ours.sum()


@pytest.mark.parametrize(
    ("strength", "most_rows", "least_rows_of_cleanlab", "gain"), [(1.2, 0.08, 0.5, 2.5), (2, 0.2, 0.4, 2)]
)
def test_the_list_of_a_weak_model_is_shorter_and_better_than_that_of_cleanlab(
    strength, most_rows, least_rows_of_cleanlab, gain
):
    gold, probabilities, is_planted = sets(strength, 0.04)
    _, ours = listed(gold, probabilities)
    assert 0 < ours.any(axis=1).mean() < most_rows
    for filter_by in ("confident_learning", "prune_by_noise_rate"):
        theirs = listed_by_cleanlab(gold, probabilities, filter_by)
        assert theirs.any(axis=1).mean() > least_rows_of_cleanlab
        assert is_planted[ours].mean() > gain * is_planted[theirs].mean()


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


def tags(strength, num=20000):
    """Tags of words, most of them O (0), of which 4% of the others are wrong, and calibrated probabilities.

    Returns the tags, the probabilities, and which tags are wrong.
    """
    draw = np.random.default_rng(1)
    base = np.array([0.85, 0.06, 0.05, 0.04])
    true = draw.choice(4, num, p=base)
    logits = np.log(base) + strength * draw.normal(size=(num, 4))
    logits += strength**2 * np.eye(4)[true]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    is_planted = (true > 0) & (draw.random(num) < 0.04)
    return np.where(is_planted, (true + 1) % 4, true), chances, is_planted


@pytest.mark.parametrize(
    ("strength", "most", "gain", "least_found"), [(1.2, 0.12, 2, 0.1), (2, 0.3, 2, 0.5), (4, 1, 1, 0.8)]
)
def test_the_list_of_a_weak_tagger_is_short_and_that_of_a_good_one_nearly_complete(
    strength, most, gain, least_found
):
    gold, chances, is_planted = tags(strength)
    ours = judge_labels(gold, chances.__getitem__, 4, are_parts=True).is_error
    theirs = cleanlab_filter.find_label_issues(gold, chances, filter_by="low_self_confidence")
    assert ours.sum() < most * theirs.sum()
    assert is_planted[ours].mean() > gain * is_planted[theirs].mean()
    assert is_planted[ours].sum() > least_found * is_planted.sum()


def test_overconfident_probabilities_of_tags_do_not_lengthen_the_list():
    gold, chances, _ = tags(1.2)
    sure = chances**4 / (chances**4).sum(axis=1, keepdims=True)
    once, again = (judge_labels(gold, p.__getitem__, 4, are_parts=True).is_error for p in (chances, sure))
    assert 0 < again.sum() < 2 * once.sum()


@pytest.mark.parametrize("share_learned", [0, 1])
def test_a_classifier_no_better_than_the_most_frequent_label_lists_nothing(share_learned):
    draw = np.random.default_rng(3)
    gold = draw.choice(4, 200, p=[0.4, 0.2, 0.2, 0.2])
    chances = draw.dirichlet(np.ones(4), 200) + 2 * share_learned * np.eye(4)[gold]
    chances[:9] = np.roll(np.eye(4)[gold[:9]], 1, axis=1)
    judged = judge_labels(gold, (chances / chances.sum(axis=1, keepdims=True)).__getitem__, 4)
    assert judged.is_informed == judged.is_error[:9].all() == bool(share_learned)
    assert judged.is_error.any() == bool(share_learned)
