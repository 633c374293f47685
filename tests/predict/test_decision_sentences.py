"""Decision rules in sentences: true for every share, every kind of answer, and several models."""

from typing import Any

import pytest

from bertune.config import DecideConfig, TaskConfig
from bertune.metrics.decisions import Fit
from bertune.predict.decision_sentences import percent, sentence_of, sentence_of_folds
from bertune.tasks import make_task

CONFIG = DecideConfig(max_error=0.05, confidence=0.9)


def fitted(name: str) -> Any:
    return make_task(TaskConfig(name=name)).fitted(("a", "b"))


def fit(answered: int, num: int = 200) -> Fit:
    return Fit(0.5 if answered else None, num, num, answered, 1)


def test_only_everything_is_100_percent() -> None:
    assert [percent(share) for share in (1.0, 0.9999, 0.9549, 0.0)] == [
        "100%", "more than 99.9%", "95.5%", "0%",
    ]  # fmt: skip


def test_texts_that_are_all_answered_leave_none_for_review() -> None:
    said = sentence_of(fitted("classification"), CONFIG, {"": fit(200)}, 1.0, None)
    assert said == (
        "The model can answer all texts without review: with 90% confidence, at most 5% of these answers are "
        "wrong."
    )
    some = sentence_of(fitted("classification"), CONFIG, {"": fit(150)}, 0.75, None)
    assert some.endswith("The other 25% are marked for review.")


def test_entities_are_decided_and_missing_ones_are_not_covered() -> None:
    said = sentence_of(fitted("token_classification"), CONFIG, {"": fit(50)}, 0.0, None)
    assert said.startswith("The model can decide 25% of the entities without review")
    assert "Every text has at least one that is marked for review." in said
    assert said.endswith("Entities that the model does not find are not covered.")


def test_labels_are_decided_in_kinds_of_answers() -> None:
    fits = {"a: no": fit(100), "a: yes": fit(0), "b: no": fit(0)}
    said = sentence_of(fitted("multilabel"), CONFIG, fits, 0.1, None)
    assert 'with 1 of 3 kinds of answers (such as "a: no"): for each label, with 90% confidence' in said
    assert said.endswith("90% of the texts have a label that is marked for review.")


@pytest.mark.parametrize(("needed", "expected"), [(1200, "about 1,200 more"), (None, "will not help")])
def test_a_rule_that_answers_nothing_says_what_would_help(needed: int | None, expected: str) -> None:
    said = sentence_of(fitted("classification"), CONFIG, {"": fit(0)}, 0.0, needed)
    assert said.startswith("The model cannot answer any of the texts without review")
    assert expected in said


def test_a_limit_that_no_prediction_reaches_has_no_error_rate() -> None:
    limit = DecideConfig(abstain_below=0.9)
    none = sentence_of(fitted("classification"), limit, {"": fit(0)}, 0.0, None)
    assert none.endswith("0.9 are marked for review: on the calibration rows, these are all texts.")
    some = sentence_of(fitted("classification"), limit, {"": fit(100)}, 0.5, None)
    assert "can answer 50% of the texts without review, and 1% of these answers were wrong" in some
    assert "not a guarantee" in some


def test_the_rules_of_folds_are_summed_up() -> None:
    folds = [{"answers": 50, "answered": 40, "wrong": 1}, {"answers": 50, "answered": 10, "wrong": 1}]
    said = sentence_of_folds(fitted("classification"), folds)
    assert said is not None
    assert said.endswith("50% of 100 texts were answered without review; 4% of these answers were wrong.")
    assert sentence_of_folds(fitted("classification"), []) is None
