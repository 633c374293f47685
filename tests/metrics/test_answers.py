"""Exact match and F1 of answers, with hand-written cases and a reimplementation of the definitions."""

import collections
import random
import re
import string

import numpy as np
import pytest

from bertune.metrics.answers import exact_match, f1, normalized, score

WORDS = ["the", "Denver", "Broncos", "won,", "a", "in", "2016", "an", "U.S.", "gold-medal"]


# The evaluation of SQuAD 2.0 (Rajpurkar et al. 2018), as its authors describe it.


def squad_words(text: str) -> list[str]:
    lowered = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", lowered).split()


def squad_em(gold: str, answer: str) -> float:
    return float(squad_words(gold) == squad_words(answer))


def squad_f1(gold: str, answer: str) -> float:
    ours, theirs = squad_words(answer), squad_words(gold)
    if not ours or not theirs:
        return float(ours == theirs)
    left = collections.Counter(theirs)
    same = 0
    for word in ours:
        same += left[word] > 0
        left[word] -= 1
    if same == 0:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def squad_best(gold: list[list[str]], scores: list[float], best: list[str], no_answer: list[float]) -> float:
    """The highest mean score over all thresholds, by exhaustive search."""
    found = []
    for threshold in [min(no_answer) - 1, *no_answer]:
        given = [
            (s if texts else float(not text)) if number <= threshold else float(not texts)
            for texts, s, text, number in zip(gold, scores, best, no_answer, strict=True)
        ]
        found.append(sum(given) / len(given))
    return max(found)


def test_answers_are_compared_without_case_punctuation_and_articles() -> None:
    assert normalized("  The U.S.-led  Army, a force ") == "usled army force"
    assert exact_match(["the Denver Broncos"], "Denver Broncos!") == 1
    assert exact_match(["Denver Broncos"], "Denver") == 0
    assert f1(["Denver Broncos"], "Denver") == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert f1(["in 2016", "2016"], "2016") == 1
    assert f1(["gold gold"], "gold") == pytest.approx(2 / 3)  # a word counts as often as it occurs


def test_no_answer_is_correct_only_for_unanswerable_questions() -> None:
    assert (exact_match([], ""), f1([], "")) == (1, 1)
    assert (exact_match([], "Denver"), f1([], "Denver")) == (0, 0)
    assert (exact_match(["Denver"], ""), f1(["Denver"], "")) == (0, 0)


def by_characters(gold: str, answer: str) -> float:
    return f1([gold], answer, by_characters=True)


def test_chinese_is_compared_by_characters() -> None:
    assert exact_match(["《鹰嘴豆》。"], "鹰嘴豆", by_characters=True) == 1
    # 那须盐原 of five characters: precision 4/4, recall 4/5
    assert by_characters("那须盐原市", "那须盐原") == pytest.approx(2 * 1 * 0.8 / 1.8)
    # the longest common substring counts, not all common characters: 北京 is 2 of 4 and of 4
    assert by_characters("北京大学", "学大北京") == pytest.approx(0.5)
    # numbers and Latin words are one unit: 1999, 年
    assert by_characters("1999年", "1999") == pytest.approx(2 / 3)
    assert by_characters("1999", "1999年") == pytest.approx(2 / 3)
    assert by_characters("3.5万人", "3.5万") == pytest.approx(0.8)
    assert by_characters("北京", "") == 0
    assert by_characters("ひらがな", "ひら") == pytest.approx(2 / 3)


def test_all_answers_of_a_data_set_are_compared_in_the_same_way() -> None:
    english = [["Tokyo (東京)"], *[["in London"]] * 9]
    answers = ["Tokyo", *["London"] * 9]
    found = score(english, answers, answers, np.zeros(10))
    assert found.values["f1"] == pytest.approx(2 / 3)  # separated by spaces: tokyo, 東京
    chinese = [["1999"], *[["北京大学"]] * 3]
    answers = ["1999年", *["北京"] * 3]
    assert score(chinese, answers, answers, np.zeros(4)).values["f1"] == pytest.approx(2 / 3)  # 1999 and 年
    korean = [["서울 대학교"]]
    assert score(korean, ["대학교"], ["대학교"], np.zeros(1)).values["f1"] == pytest.approx(2 / 3)


def questions(count: int) -> tuple[list[list[str]], list[str], list[float]]:
    draw = random.Random(4)

    def text() -> str:
        words = draw.choices(WORDS, k=draw.randint(1, 4))
        return " ".join([*words, draw.choice(WORDS[1:4])])  # more than articles

    gold = [[text() for _ in range(draw.randint(1, 3))] if draw.random() < 0.6 else [] for _ in range(count)]
    best = [draw.choice(texts) if texts and draw.random() < 0.4 else text() for texts in gold]
    return gold, best, [draw.gauss(0 if texts else 1.5, 1.5) for texts in gold]


def test_all_scores_equal_those_of_squad_2() -> None:
    gold, best, no_answer = questions(300)
    answers = [None if number > 0 else text for text, number in zip(best, no_answer, strict=True)]
    found = score(gold, answers, best, np.array(no_answer))
    texts = [answer or "" for answer in answers]
    for name, of_pair in (("em", squad_em), ("f1", squad_f1)):
        each = [max(of_pair(g, a) for g in golds or [""]) for golds, a in zip(gold, texts, strict=True)]
        has = [s for s, golds in zip(each, gold, strict=True) if golds]
        none = [s for s, golds in zip(each, gold, strict=True) if not golds]
        assert found[name] == pytest.approx(np.mean(each))
        assert found[f"has_answer_{name}"] == pytest.approx(np.mean(has))
        assert found[f"no_answer_{name}"] == pytest.approx(np.mean(none))
        of_best = [max(of_pair(g, a) for g in golds or [""]) for golds, a in zip(gold, best, strict=True)]
        assert found[f"best_{name}"] == pytest.approx(squad_best(gold, of_best, best, no_answer))
    assert len(has) > 50 and len(none) > 50


def test_the_best_threshold_gives_the_best_score() -> None:
    gold, best, no_answer = questions(300)
    first = score(gold, best, best, np.array(no_answer))
    threshold = first["best_null_threshold"]
    assert threshold is not None
    answers = [text if number <= threshold else None for text, number in zip(best, no_answer, strict=True)]
    assert score(gold, answers, best, np.array(no_answer))["f1"] == pytest.approx(first["best_f1"])


def test_a_model_that_should_never_answer_gets_a_threshold_for_that() -> None:
    found = score([[], [], ["Denver"]], ["x", "x", "x"], ["x", "x", "x"], np.array([-3.0, 2.0, 1.0]))
    assert found["best_f1"] == pytest.approx(2 / 3)
    assert (found["best_null_threshold"] or 0) < -3


def test_without_unanswerable_questions_their_scores_are_undefined() -> None:
    found = score([["Denver"], ["2016"]], ["Denver", "2017"], ["Denver", "2017"], np.zeros(2))
    assert found["f1"] == found["has_answer_f1"] == 0.5
    assert [found[name] for name in ("no_answer_em", "no_answer_f1", "best_em", "best_null_threshold")] == [
        None
    ] * 4
