"""Words, tagging schemes and spans: conversion between tags of words and spans of characters.

Dimensions: W words of a text, C labels.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertune.tasks.token_classification.notations import DASH, OUTSIDE, parsed
from bertune.text.sequences import Offsets
from bertune.text.sequences import Sequence as Window

UNTYPED = "entity"  # the label of spans if tags are bare B, I, O
PLAIN = "plain"
IO = "io"
# The letters for the roles begin, inside, end and single in each scheme.
LETTERS = {"bio": "BI", "iob1": "BI", "bioes": "BIES", "bmes": "BMES", "bilou": "BILU"}
_ROLES = "BIES"
# BIOES and BMES look the same if no span has three words, so each is also read with the letters of the other.
_ROLE_OF = {
    name: dict(zip(letters, _ROLES, strict=False)) | ({"I": "I", "M": "I"} if "S" in letters else {})
    for name, letters in LETTERS.items()
}
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_UNSPACED = re.compile(rf"{_CJK.pattern}|[\u3000-\u303f\uff00-\uffef]")  # and CJK punctuation


class Span(NamedTuple):
    """A labelled span of characters or words."""

    start: int
    end: int  # exclusive
    label: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """How tags mark the beginning and the end of spans. Plain tags do not mark spans.

    In `io`, a tag is the type of its span, and a run of equal tags is one span.
    """

    name: str  # bio (IOB2), iob1, bioes, bmes, bilou, io or plain
    typed: bool = True  # B-PER rather than bare B
    notation: str = DASH  # see `notations`; for bare tags and io, only its case and its outside tag matter

    @property
    def is_closed(self) -> bool:
        """Whether the scheme marks the last word of a span."""
        return len(LETTERS.get(self.name, "")) == 4

    @property
    def outside(self) -> str:
        """The tag of words outside of spans."""
        return parsed(self.notation).outside

    def role(self, tag: str) -> tuple[str, str] | None:
        """The role of a tag (B, I, E, S or O) and its type; None if the tag does not belong to the scheme."""
        if tag in (OUTSIDE, OUTSIDE.lower(), self.outside):
            return OUTSIDE, ""
        if self.name == IO:
            return "I", tag
        notation = parsed(self.notation)
        letter, label = notation.parts(tag) if self.typed else (notation.letter(tag), UNTYPED)
        role = _ROLE_OF[self.name].get(letter.upper())
        return None if role is None else (role, label)

    def tag(self, role: str, label: str) -> str:
        """The tag for a role and a type."""
        if self.name == IO:
            return label
        letter = LETTERS[self.name][_ROLES.index(role)]
        return parsed(self.notation).tag(letter, label if self.typed else "")


@dataclass(frozen=True, slots=True)
class Reading:
    """Spans read from tags, and the positions of tags that violate the scheme or do not belong to it."""

    spans: tuple[Span, ...]
    broken: tuple[int, ...]
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """Non-overlapping spans of words for spans of characters, and counts of the changes this required."""

    spans: tuple[Span, ...]
    num_inside: int = 0  # began or ended inside a word, and were extended to the whole word
    num_nested: int = 0  # inside another span, and dropped
    num_overlapping: int = 0  # partially overlapping a longer or equally long earlier span, and dropped


def words_of(text: str, rule: str = "signs") -> tuple[Offsets, ...]:
    """The character offsets of the words of a text.

    With the rule `signs`, words are runs of letters and digits, single punctuation marks and single CJK
    characters. With `whole`, punctuation inside a word belongs to it, as in Jean-Pierre, U.S. and 3.5. With
    `characters`, every character is a word. Combining marks and joiners belong to the preceding character;
    spaces and control characters do not belong to any word.
    """
    words = _runs(text, rule == "characters")
    return _whole(text, words) if rule == "whole" else words


def _runs(text: str, singly: bool) -> tuple[Offsets, ...]:
    words: list[list[int]] = []
    in_run = False
    for at, char in enumerate(text):
        kind = _kind(char)
        touches = bool(words) and words[-1][1] == at
        if touches and (kind == "mark" or (kind == "run" and in_run)):
            words[-1][1] = at + 1
        elif kind != "gap" and unicodedata.category(char) != "Cf":
            words.append([at, at + 1])
            in_run = kind != "single" and not singly
        else:
            in_run = False
    return tuple((start, end) for start, end in words)


def _whole(text: str, words: Sequence[Offsets]) -> tuple[Offsets, ...]:
    merged: list[Offsets] = []
    at = 0
    while at < len(words):
        start, end = words[at]
        while at + 2 < len(words) and words[at + 2][0] == end + 1 and _joins(text, end):
            at += 2
            end = words[at][1]
        if text[end : end + 1] == "." and _is_initials(text[start:end]):
            at += 1
            end += 1
        merged.append((start, end))
        at += 1
    return tuple(merged)


def _joins(text: str, at: int) -> bool:
    """Whether the punctuation mark at an offset joins the characters on both sides into one word."""
    before, sign, after = text[at - 1], text[at], text[at + 1]
    if not (before.isalnum() and after.isalnum()) or _CJK.match(before) or _CJK.match(after):
        return False
    if sign in ",:":
        return before.isdecimal() and after.isdecimal()
    return sign in "-.&/@_" or (sign in "'’" and after.isupper())  # O'Brien, but not a possessive 's


def _is_initials(word: str) -> bool:
    return bool(_INITIALS.fullmatch(word)) and (len(word) > 1 or word.isupper()) and not _CJK.match(word)


@lru_cache(1 << 16)
def _kind(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf":
        return "mark"
    if category[0] == "Z" or category == "Cc":
        return "gap"
    return "run" if category[0] in "LN" and not _CJK.match(char) else "single"


def joined(tokens: Sequence[str]) -> tuple[str, tuple[Offsets, ...]]:
    """The text of tokens, and the offsets of the tokens in it.

    Tokens are separated by spaces, except next to CJK characters and in CJK text split into characters.
    """
    single = all(len(token) == 1 for token in tokens) and any(_CJK.match(token) for token in tokens)
    text, offsets = "", []
    for number, token in enumerate(tokens):
        touches = single or not number or _UNSPACED.match(text[-1]) or _UNSPACED.match(token[0])
        text += "" if touches else " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
    return text, tuple(offsets)


def read_tags(tags: Sequence[str], scheme: Scheme) -> Reading:
    """The spans of words encoded by tags.

    Tags that violate the scheme are read as in the conlleval script (Tjong Kim Sang & De Meulder 2003): a tag
    that continues a span where there is none begins a span, and a span without an end tag ends at its last
    tag.
    """
    spans: list[Span] = []
    broken: list[int] = []
    unknown: list[int] = []
    start, label = -1, ""  # start and label of the open span
    for at, tag in enumerate((*tags, OUTSIDE)):
        role_and_type = scheme.role(tag)
        if role_and_type is None:
            unknown.append(at)
            role_and_type = OUTSIDE, ""
        role, new = role_and_type
        if start >= 0 and role in "IE" and new == label:
            if role == "E":
                spans.append(Span(start, at + 1, label))
                start = -1
            continue
        if start >= 0:
            spans.append(Span(start, at, label))
            broken += [at - 1] * scheme.is_closed
        start, label = -1, new
        if role in "IE" and scheme.name not in ("iob1", IO):
            broken.append(at)
        if role in "ES":
            spans.append(Span(at, at + 1, label))
        elif role in "BI":
            start = at
    return Reading(tuple(spans), tuple(sorted(set(broken))), tuple(unknown))


def write_tags(spans: Iterable[Span], num_words: int, scheme: Scheme) -> list[str]:
    """The tags of non-overlapping spans of words, the inverse of `read_tags`.

    IO cannot separate adjacent spans of the same type; see `merged`.
    """
    tags = [scheme.outside] * num_words
    before = Span(-1, -1, "")
    for span in sorted(spans):
        roles = ["B", *"I" * (span.end - span.start - 1)]
        if scheme.is_closed:
            roles[-1] = "E" if len(roles) > 1 else "S"
        elif scheme.name == "iob1" and (before.end, before.label) != (span.start, span.label):
            roles[0] = "I"
        tags[span.start : span.end] = [scheme.tag(role, span.label) for role in roles]
        before = span
    return tags


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans of words with adjacent spans of the same type merged, as IO tags encode them."""
    joined_spans: list[Span] = []
    for span in sorted(spans):
        before = joined_spans[-1] if joined_spans else None
        if before and (before.end, before.label) == (span.start, span.label):
            joined_spans[-1] = before._replace(end=span.end)
        else:
            joined_spans.append(span)
    return tuple(joined_spans)


def to_words(spans: Iterable[Span], words: Sequence[Offsets]) -> Resolved:
    """Spans of characters as spans of words; of overlapping spans, the longest is kept."""
    starts, ends = np.array(words).T
    num_inside = num_nested = num_overlapping = 0
    is_covered = np.zeros(len(words), bool)
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        first = int(np.searchsorted(ends, span.start, "right"))
        last = int(np.searchsorted(starts, span.end, "left"))
        if first >= last or is_covered[first:last].any():
            is_nested = any(one.start <= first and last <= one.end for one in kept)
            num_nested += is_nested
            num_overlapping += not is_nested
            continue
        num_inside += (int(starts[first]), int(ends[last - 1])) != span[:2]
        is_covered[first:last] = True
        kept.append(Span(first, last, span.label))
    return Resolved(tuple(sorted(kept)), num_inside, num_nested, num_overlapping)


def deciding_tokens(windows: Sequence[Window], words: Sequence[Offsets]) -> NDArray[np.int64]:
    """The window and the token that decide the label of each word, [W, 2]; -1 for words without tokens.

    This is the first token of the word, in the window where it has the most context.
    """
    starts = np.array([start for start, _ in words])
    deciding = np.full((len(words), 2), -1, np.int64)
    most_context = np.full(len(words), -1.0)
    for number, window in enumerate(windows):
        assert window.offsets is not None
        offsets = window.offsets
        inside = np.flatnonzero(offsets[:, 0] >= 0)
        word = np.searchsorted(starts, offsets[inside, 0])
        is_first = starts[np.minimum(word, len(words) - 1)] == offsets[inside, 0]
        # In reverse order, so that the first of several tokens with the same offset is assigned last.
        word, token = word[is_first][::-1], inside[is_first][::-1]
        if not len(token):
            continue
        before = np.inf if number == 0 else token - inside[0]
        after = np.inf if number == len(windows) - 1 else inside[-1] - token
        context = np.minimum(before, after) * np.ones(len(token))
        better = context > most_context[word]
        deciding[word[better], 0], deciding[word[better], 1] = number, token[better]
        most_context[word[better]] = context[better]
    return deciding


def best_path(scores_WC: NDArray[np.float64], begins_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels [W] with the maximum summed score in which every I- label continues a span (Viterbi).

    `begins_C` is the index of the matching B- label for each I- label, and -1 for the other labels.
    """
    path_W: NDArray[np.int64] = scores_WC.argmax(axis=1)
    begin_W = begins_C[path_W]
    before_W = np.concatenate([[-1], path_W[:-1]])
    if np.all((begin_W < 0) | (before_W == begin_W) | (before_W == path_W)):
        return path_W
    inside = np.flatnonzero(begins_C >= 0)
    best_C = scores_WC[0].copy()
    best_C[inside] = -np.inf
    begun = begins_C[inside]
    # The best path to a label comes from the best label of the previous word; to an I- label, only from its
    # B- label or from the I- label itself.
    best_W = np.zeros(len(scores_WC), np.int64)
    has_begun_WI = np.zeros((len(scores_WC), len(inside)), bool)
    place = {label: number for number, label in enumerate(inside.tolist())}
    for at in range(1, len(scores_WC)):
        best_W[at] = best_C.argmax()
        has_begun_WI[at] = best_C[begun] >= best_C[inside]
        before_I = np.where(has_begun_WI[at], best_C[begun], best_C[inside])
        best_C = best_C[best_W[at]] + scores_WC[at]
        best_C[inside] = before_I + scores_WC[at][inside]
    path_W[-1] = best_C.argmax()
    for at in range(len(path_W) - 1, 0, -1):
        label = int(path_W[at])
        number = place.get(label)
        if number is None:
            path_W[at - 1] = best_W[at]
        else:
            path_W[at - 1] = begun[number] if has_begun_WI[at, number] else label
    return path_W
