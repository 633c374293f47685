"""Owns words, tag schemes and spans: how tags over words and spans over characters become one another.

Dimensions: W words of a text, C labels.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DataError, listed
from bertune.text.sequences import Offsets
from bertune.text.sequences import Sequence as Window

OUTSIDE = "O"
UNTYPED = "entity"  # what spans are called where tags are bare B, I, O
PLAIN = "plain"
# The letters of each scheme for the roles begin, inside, end, single.
_LETTERS = {"bio": "BI", "iob1": "BI", "bioes": "BIES", "bmes": "BMES", "bilou": "BILU"}
_ROLES = "BIES"
# Where no span has three words BIOES and BMES look alike, so what is taken for one may go on as the other.
_ROLE_OF = {
    name: dict(zip(letters, _ROLES, strict=False)) | ({"I": "I", "M": "I"} if "S" in letters else {})
    for name, letters in _LETTERS.items()
}
_TAG = re.compile(r"([BIMESLU])(?:-(.+))?")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_UNSPACED = re.compile(rf"{_CJK.pattern}|[\u3000-\u303f\uff00-\uffef]")  # and their punctuation


class Span(NamedTuple):
    """A label and where it is: of characters, or of words."""

    start: int
    end: int  # last + 1
    label: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """How tags say where a span begins and ends; `plain` tags say no such thing."""

    name: str  # bio (IOB2), iob1, bioes, bmes, bilou or plain
    typed: bool = True  # B-PER; or bare B

    @property
    def is_closed(self) -> bool:
        """Whether the last word of a span has a tag that says so."""
        return len(_LETTERS[self.name]) == 4

    def role(self, tag: str) -> tuple[str, str] | None:
        """Begin, inside, end, single (B, I, E, S) or outside (O), and the type; None for no tag of this."""
        if tag == OUTSIDE:
            return OUTSIDE, ""
        match = _TAG.fullmatch(tag)
        if match is None or (match[2] is not None) != self.typed:
            return None
        role = _ROLE_OF[self.name].get(match[1])
        return None if role is None else (role, match[2] or UNTYPED)

    def tag(self, role: str, label: str) -> str:
        """The tag of a role and a type."""
        letter = _LETTERS[self.name][_ROLES.index(role)]
        return f"{letter}-{label}" if self.typed else letter


@dataclass(frozen=True, slots=True)
class Reading:
    """What tags say: spans of words, and the positions of tags that break their scheme or are none of it."""

    spans: tuple[Span, ...]
    broken: tuple[int, ...]
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """Spans of characters as spans of words that do not overlap, and what had to be changed for it."""

    spans: tuple[Span, ...]
    num_inside: int = 0  # began or ended inside a word: widened to all of it
    num_nested: int = 0  # lay inside a longer span, or where another one is: left out
    num_overlapping: int = 0  # lay partly over a longer span, or an earlier one as long: left out


def words_of(text: str, rule: str = "signs") -> tuple[Offsets, ...]:
    """Words of a text: runs of letters and digits, single punctuation marks, single CJK characters.

    So it is by the rule `signs`. By `whole` punctuation inside a run belongs to it, as in Jean-Pierre, U.S.
    and 3.5; by `characters` each character is a word. Combining marks and joiners belong to what they follow;
    spaces and control characters to no word.
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
    """Whether the sign at a place makes one word of what is on both sides of it."""
    before, sign, after = text[at - 1], text[at], text[at + 1]
    if not (before.isalnum() and after.isalnum()) or _CJK.match(before) or _CJK.match(after):
        return False
    if sign in ",:":
        return before.isdecimal() and after.isdecimal()
    return sign in "-.&/@_" or (sign in "'’" and after.isupper())  # O'Brien, but the 's of others is apart


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
    """One text from tokens, and their offsets in it.

    Between them stands a space, but not beside CJK characters, nor in CJK text cut into single characters.
    """
    single = all(len(token) == 1 for token in tokens) and any(_CJK.match(token) for token in tokens)
    text, offsets = "", []
    for number, token in enumerate(tokens):
        touches = single or not number or _UNSPACED.match(text[-1]) or _UNSPACED.match(token[0])
        text += "" if touches else " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
    return text, tuple(offsets)


def detect(sequences: Sequence[Sequence[str]]) -> Scheme:
    """The scheme that tags are written in. Raises DataError where they look like a mixture of several."""
    counts = Counter(tag for tags in sequences for tag in tags if tag != OUTSIDE)
    matches = {tag: _TAG.fullmatch(tag) for tag in counts}
    odd = [tag for tag, match in matches.items() if match is None]
    letters = {match[1] for match in matches.values() if match is not None}
    if odd and not ("B" in letters and any(OUTSIDE in tags for tags in sequences)):
        return Scheme(PLAIN)
    if not counts:
        return Scheme("bio")
    typed = {match[2] is not None for match in matches.values() if match is not None}
    fitting = [name for name, own in _LETTERS.items() if letters <= set(own)]
    if odd or len(typed) > 1 or not fitting:
        seen = f'"{odd[0]}" among {listed(sorted(set(counts) - {odd[0]}))}' if odd else listed(sorted(counts))
        raise DataError(
            f"the tags are of no one scheme: {seen}. Correct them; or, if each is a label of its own, say "
            "task.scheme=plain"
        )
    if fitting[0] != "bio":
        return Scheme(fitting[0], typed.pop())
    scheme = Scheme("bio", typed.pop())
    starts_inside = any(read_tags(tags, scheme).broken for tags in sequences)
    return Scheme("iob1", scheme.typed) if starts_inside and _is_iob1(sequences) else scheme


def _is_iob1(sequences: Iterable[Sequence[str]]) -> bool:
    """Whether B- stands only where it parts two spans of one type (Ramshaw & Marcus 1995)."""
    return all(
        tag[1:] == before[1:] and before != OUTSIDE
        for tags in sequences
        for before, tag in zip((OUTSIDE, *tags), tags, strict=False)
        if tag[0] == "B"
    )


def read_tags(tags: Sequence[str], scheme: Scheme) -> Reading:
    """The spans of words that tags stand for.

    Broken tags are read as conlleval reads them (Tjong Kim Sang & De Meulder 2003): one that goes on where
    nothing was begun begins a span, and a span that is not ended ends where its tags do.
    """
    spans: list[Span] = []
    broken: list[int] = []
    unknown: list[int] = []
    start, label = -1, ""  # of the span that is open
    for at, tag in enumerate((*tags, OUTSIDE)):
        found = scheme.role(tag)
        if found is None:
            unknown.append(at)
            found = OUTSIDE, ""
        role, new = found
        if start >= 0 and role in "IE" and new == label:
            if role == "E":
                spans.append(Span(start, at + 1, label))
                start = -1
            continue
        if start >= 0:
            spans.append(Span(start, at, label))
            broken += [at - 1] * scheme.is_closed
        start, label = -1, new
        if role in "IE" and scheme.name != "iob1":
            broken.append(at)
        if role in "ES":
            spans.append(Span(at, at + 1, label))
        elif role in "BI":
            start = at
    return Reading(tuple(spans), tuple(sorted(set(broken))), tuple(unknown))


def write_tags(spans: Iterable[Span], num_words: int, scheme: Scheme) -> list[str]:
    """Tags of spans of words that do not overlap; `read_tags` reads the same spans from them."""
    tags = [OUTSIDE] * num_words
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


def to_words(spans: Iterable[Span], words: Sequence[Offsets]) -> Resolved:
    """Spans of characters as spans of the words they touch; of those that overlap the longest stays."""
    starts, ends = np.array(words).T
    num_inside = num_nested = num_overlapping = 0
    taken = np.zeros(len(words), bool)
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        first = int(np.searchsorted(ends, span.start, "right"))
        last = int(np.searchsorted(starts, span.end, "left"))
        if first >= last or taken[first:last].any():
            is_nested = any(one.start <= first and last <= one.end for one in kept)
            num_nested += is_nested
            num_overlapping += not is_nested
            continue
        num_inside += (int(starts[first]), int(ends[last - 1])) != span[:2]
        taken[first:last] = True
        kept.append(Span(first, last, span.label))
    return Resolved(tuple(sorted(kept)), num_inside, num_nested, num_overlapping)


def deciding_tokens(windows: Sequence[Window], words: Sequence[Offsets]) -> NDArray[np.int64]:
    """For each word the window and the token [W, 2] that decide its label; -1 where it has no token.

    That is its first token, in the window where it has the most context.
    """
    starts = np.array([start for start, _ in words])
    found = np.full((len(words), 2), -1, np.int64)
    most = np.full(len(words), -1.0)
    for number, window in enumerate(windows):
        assert window.offsets is not None
        offsets = window.offsets
        inside = np.flatnonzero(offsets[:, 0] >= 0)
        word = np.searchsorted(starts, offsets[inside, 0])
        is_first = starts[np.minimum(word, len(words) - 1)] == offsets[inside, 0]
        # Backwards: of several tokens at one place the first is left.
        word, token = word[is_first][::-1], inside[is_first][::-1]
        if not len(token):
            continue
        before = np.inf if number == 0 else token - inside[0]
        after = np.inf if number == len(windows) - 1 else inside[-1] - token
        context = np.minimum(before, after) * np.ones(len(token))
        better = context > most[word]
        found[word[better], 0], found[word[better], 1] = number, token[better]
        most[word[better]] = context[better]
    return found


def best_path(scores_WC: NDArray[np.float64], begins_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels [W] with the greatest summed score in which no span goes on that was not begun (Viterbi).

    `begins_C` is, for a label that goes on, the one that begins the same; -1 for every other.
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
    # The best path to a label comes from the best label of the word before; to one that goes on, from the one
    # that begins it, or from itself.
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
