"""Plants faults in the test rows of a data set: copies, near copies, contradicting labels, shared groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bertune.audit.words import is_without_spaces, words_of

COPIED, NEAR, CONFLICTING, STRADDLING = 0.07, 0.05, 0.03, 0.05  # shares of the test rows
GROUP = 4  # rows of a group
# Fewer words do not identify a text: "a good film" and "a bad film" are no copies.
LEAST_WORDS = 6
_PUNCTUATION = ".,!?;:。，！？；"


@dataclass
class Planted:
    """Training and test rows with planted faults, and the test rows of each fault."""

    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    train_groups: list[str]
    test_groups: list[str]
    copied: set[int] = field(default_factory=set)
    conflicting: set[int] = field(default_factory=set)  # copies with another label
    near: dict[int, str] = field(default_factory=dict)  # the kind of edit of each near copy
    straddling: set[int] = field(default_factory=set)


def planted(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]], seed: int) -> Planted:
    """A copy of the data with faults in disjoint test rows."""
    random = np.random.default_rng(seed)
    found = Planted(
        list(train),
        list(test),
        [f"train-{row // GROUP}" for row in range(len(train))],
        [f"test-{row // GROUP}" for row in range(len(test))],
    )
    rows = iter(random.permutation(len(test)).tolist())
    labels = sorted({label for _, label in train})
    for _ in range(round(COPIED * len(test))):
        row, (text, label) = next(rows), train[int(random.integers(len(train)))]
        found.test[row] = (text, label)
        found.copied.add(row)
    for _ in range(round(CONFLICTING * len(test))):
        row, (text, label) = next(rows), train[int(random.integers(len(train)))]
        found.test[row] = (text, labels[(labels.index(label) + 1) % len(labels)])
        found.conflicting.add(row)
    for number in range(round(NEAR * len(test))):
        row = next(rows)
        kind, text, label = _near_copy(train, number, random)
        found.test[row] = (text, label)
        found.near[row] = kind
    for _ in range(round(STRADDLING * len(test))):
        row = next(rows)
        found.test_groups[row] = found.train_groups[int(random.integers(len(train)))]
        found.straddling.add(row)
    return found


def _near_copy(
    train: Sequence[tuple[str, str]], number: int, random: np.random.Generator
) -> tuple[str, str, str]:
    """The kind of edit, and a training row edited in this way, which changes it. Kinds take turns."""
    while True:
        text, label = train[int(random.integers(len(train)))]
        num_words = len(words_of(text))
        kinds = list(FORMATS) if num_words < LEAST_WORDS * _word_size(text) else [*FORMATS, *EDITS]
        kinds += list(LONG) if num_words >= 100 else []
        kind = kinds[number % len(kinds)]
        edited = {**FORMATS, **EDITS, **LONG}[kind](text, random)
        if edited != text and edited.strip():
            return kind, edited, label


def _word_size(text: str) -> int:
    """Units of a word: 1, or 2 characters in Chinese."""
    return 2 if _is_chinese(text) else 1


def _is_chinese(text: str) -> bool:
    return sum(is_without_spaces(ord(character)) for character in text) > len(text) / 3


def _case(text: str, random: np.random.Generator) -> str:
    return [text.upper(), text.title(), text.lower(), text.swapcase()][int(random.integers(4))]


def _spaces(text: str, random: np.random.Generator) -> str:
    units, between = _units(text)
    at = int(random.integers(max(1, len(units))))
    return f" {between.join(units[:at])}  {between.join(units[at:])}\n"


def _punctuation(text: str, random: np.random.Generator) -> str:
    without = "".join(character for character in text if character not in _PUNCTUATION)
    return [without, f"{text.rstrip()} !!!", f"« {text.strip()} »"][int(random.integers(3))]


def _units(text: str) -> tuple[list[str], str]:
    """The words of a text, or the characters of a Chinese one, and what is between them."""
    return (list(text), "") if _is_chinese(text) else (text.split(), " ")


def _inserted_word(text: str, random: np.random.Generator) -> str:
    return ["的", "非常", "真的"][int(random.integers(3))] if _is_chinese(text) else "really"


def _edit(kind: str) -> Callable[[str, np.random.Generator], str]:
    """Replace, delete, insert or move a word, of one or two characters in Chinese."""

    def edit(text: str, random: np.random.Generator) -> str:
        units, between = _units(text)
        size = int(random.integers(1, 3)) if between == "" else 1
        at = int(random.integers(max(1, len(units) - size)))
        removed = units[at : at + size] if kind != "insert" else []
        rest = units[:at] + units[at + len(removed) :]
        if kind == "move":
            return between.join(rest[:1] + removed + rest[1:])
        word = [] if kind == "delete" else [_inserted_word(text, random)]
        return between.join(rest[:at] + word + rest[at:])

    return edit


def _typo(text: str, random: np.random.Generator) -> str:
    """Swap two letters of a word, or replace a Chinese character."""
    units, between = _units(text)
    longest = [at for at, unit in enumerate(units) if len(unit) > 3] or list(range(len(units)))
    at = longest[int(random.integers(len(longest)))]
    unit = units[at]
    units[at] = "地" if between == "" else unit[0] + unit[2:3] + unit[1:2] + unit[3:]
    return between.join(units)


def _case_and_word(text: str, random: np.random.Generator) -> str:
    return EDITS["word replaced"](text, random).upper() + " ."


def _few_words(text: str, random: np.random.Generator) -> str:
    """Replace 4% of the words."""
    units, between = _units(text)
    for at in random.choice(len(units), max(2, len(units) // 25), replace=False).tolist():
        units[at] = _inserted_word(text, random)[:1] if between == "" else "thing"
    return between.join(units)


def _shortened(text: str, random: np.random.Generator) -> str:
    """Without the last tenth."""
    units, between = _units(text)
    return between.join(units[: len(units) * 9 // 10])


Edit = Callable[[str, np.random.Generator], str]
FORMATS: dict[str, Edit] = {"case": _case, "whitespace": _spaces, "punctuation": _punctuation}
EDITS: dict[str, Edit] = {
    "word replaced": _edit("replace"),
    "word deleted": _edit("delete"),
    "word inserted": _edit("insert"),
    "word moved to the front": _edit("move"),
    "typo": _typo,
    "word replaced and case": _case_and_word,
}
LONG: dict[str, Edit] = {"4% of the words replaced": _few_words, "last tenth removed": _shortened}
