"""Near duplicates: the definition, the search, and what is reported for each row."""

import sys
from itertools import combinations

import numpy as np
import pytest

from bertune.audit.duplicates import find_duplicates

BASE = "the battery of this phone lasts for two full days"
CHINESE = "这家酒店的服务非常好，房间很干净，下次还会再来。"


def near(first: str, second: str) -> bool:
    return bool(len(find_duplicates({"train": [(first,), (second,)]}).pairs))


def alike(first: str, second: str) -> bool:
    distinct = find_duplicates({"train": [(first,), (second,)]}).distinct
    return bool(distinct[0] == distinct[1])


@pytest.mark.parametrize(
    "other",
    [
        "The Battery of this PHONE lasts for two full days!",
        "  the battery  of this phone\tlasts: for two full days\n",
        "the battery of this phone, lasts - for “two full” days …",
        "the battery of this phone lastsfor two full days",
    ],
)
def test_case_whitespace_and_punctuation_make_no_other_text(other: str) -> None:
    assert alike(BASE, other)


@pytest.mark.parametrize(
    "other",
    [
        "the battery of that phone lasts for two full days",
        "the battery of this phone lasts for two days",
        "the battery of this new phone lasts for two full days",
        "days the battery of this phone lasts for two full",
        "The battrey of this phone lasts for two full days.",
    ],
)
def test_one_edited_word_makes_a_near_duplicate(other: str) -> None:
    assert near(BASE, other) and not alike(BASE, other)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BASE, "the screen of that phone lasts for two full days"),
        ("a good film", "a bad film"),
        ("👍", "👎"),
        (":)", ":("),
        ("好吃", "难吃"),
        ("", "a"),
    ],
)
def test_other_texts_are_no_near_duplicates(first: str, second: str) -> None:
    assert not near(first, second) and not alike(first, second)


@pytest.mark.parametrize(
    "other", [CHINESE.replace("非常", "真"), CHINESE.replace("房间", "卫生"), f"总之{CHINESE}"]
)
def test_a_chinese_word_is_one_or_two_characters(other: str) -> None:
    assert near(CHINESE, other)
    assert alike(CHINESE, CHINESE.replace("，", " ,"))
    assert not near(CHINESE, CHINESE.replace("服务非常好", "早餐不怎么样"))


def test_long_texts_may_differ_in_a_few_words() -> None:
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in random.integers(0, 5000, 300).tolist()]
    for num_edited, is_near in ((8, True), (100, False)):
        edited = list(words)
        for position in random.choice(300, num_edited, replace=False).tolist():
            edited[position] = "x"
        assert near(" ".join(words), " ".join(edited)) == is_near
    assert near(" ".join(words), " ".join(words[:270]))


def test_the_search_finds_what_comparing_all_texts_finds() -> None:
    random = np.random.default_rng(1)
    texts = []
    for _ in range(400):
        if texts and random.random() < 0.5:
            words = texts[int(random.integers(len(texts)))].split()
            for _ in range(int(random.integers(1, 4))):
                words[int(random.integers(len(words)))] = f"w{random.integers(60)}"
        else:
            words = [f"w{number}" for number in random.integers(0, 60, int(random.integers(4, 14))).tolist()]
        texts.append(" ".join(words))

    def shorter(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {(*words[:at], *words[at + 1 :]) for at in range(len(words))} | {tuple(words)}

    split = 250
    found = find_duplicates({"train": [(t,) for t in texts[:split]], "test": [(t,) for t in texts[split:]]})
    neighbours = [shorter(text) for text in texts]
    expected: dict[tuple[str, str], set[int]] = {("train", "train"): set(), ("test", "train"): set()}
    for one, other in combinations(range(len(texts)), 2):
        is_near = (
            neighbours[one] & neighbours[other]
            and max(map(len, map(str.split, (texts[one], texts[other])))) > 5
        )
        if texts[one] != texts[other] and is_near and one < split:
            expected["train" if other < split else "test", "train"].add(other - (other >= split) * split)
    assert len(expected["test", "train"]) > 10
    for pair, rows in expected.items():
        repeats = found.repeats(*pair)
        exact = set(np.flatnonzero(repeats.exact >= 0).tolist())
        assert set(np.flatnonzero(repeats.near >= 0).tolist()) == rows - exact


def test_each_row_names_the_first_row_that_it_repeats() -> None:
    other = "the battery of this phone lasts for two full weeks"
    texts = {"train": ["a", BASE, "b", BASE, other], "test": ["b", BASE.upper(), "c", other]}
    found = find_duplicates({name: [(text,) for text in split] for name, split in texts.items()})
    within, across = found.repeats("train", "train"), found.repeats("test", "train")
    assert within.exact.tolist() == [-1, -1, -1, 1, -1]
    assert within.near.tolist() == [-1, -1, -1, -1, 1]
    assert across.exact.tolist() == [2, -1, -1, 4]
    assert across.near.tolist() == [-1, 1, -1, -1]
    assert across.alike.tolist() == [-1, 1, -1, -1]


def test_a_pair_is_a_near_duplicate_if_both_of_its_texts_are() -> None:
    context = " ".join(f"word{number}" for number in range(120))
    questions = [f"what does paragraph number {word} say about it" for word in ("one", "two", "six")]
    rows = [(questions[0], context), ("who wrote the letter to the queen", context), (questions[1], context)]
    rows += [(questions[2], context.replace("word7 ", "")), (questions[0], "another context of a few words")]
    found = find_duplicates({"train": rows})
    assert found.repeats("train", "train").near.tolist() == [-1, -1, 0, 0, -1]


def test_rows_can_have_different_numbers_of_texts() -> None:
    found = find_duplicates({"train": [(BASE, "b", "c")], "validation": [(BASE, "b"), (BASE, "b", "c")]})
    assert found.repeats("validation", "train").exact.tolist() == [-1, 0]


def test_pairs_of_many_near_duplicates_grow_linearly() -> None:
    rows = [(f"your order number {number} has been shipped today by mail",) for number in range(3000)]
    found = find_duplicates({"train": rows[:2500], "test": rows[2500:]})
    assert (found.repeats("test", "train").near == 0).all()
    assert (found.repeats("train", "train").near[1:] == 0).all()
    assert len(found.pairs) < 10 * len(rows)


def test_long_texts_are_counted_if_they_cannot_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(f"w{number}" for number in range(100))
    rows = [(long,), (long.replace("w5 ", ""),), (BASE,), (BASE.replace("two", "three"),)]
    assert find_duplicates({"train": rows}).unsearched == 0
    monkeypatch.setitem(sys.modules, "rensa", None)
    found = find_duplicates({"train": rows})
    assert found.unsearched == 2
    assert found.repeats("train", "train").near.tolist() == [-1, -1, -1, 2]
