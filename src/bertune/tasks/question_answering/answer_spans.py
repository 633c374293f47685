"""Windows over the context of a question, and the passages that start and end at tokens of a window.

Dimensions: W tokens of the context in one window.
"""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DataError
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.text.truncation import owners_of
from bertune.text.windows import overlap, windows_over

UNKNOWN = -1  # gold of windows of questions whose answer is nowhere in the context: the loss ignores it
_CHUNK = 200  # questions given to Rust at once: its own form of a long context is large
_LEAST_CONTEXT = 4  # a window is for the context: at least one token in so many

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context."""

    question: str
    context: str
    location: str  # where it was read, for errors


@dataclass(frozen=True, slots=True)
class Windows:
    """How contexts are cut."""

    max_length: int | None  # tokens of a whole sequence; None cuts nothing
    stride: int  # tokens that neighbours share, as far as there is room
    max_question: int  # tokens


def windows(questions: SequenceOf[Question], tokenizer: Tokenizer, how: Windows) -> list[list[Sequence]]:
    """The windows of every question, each behind the whole question; offsets are in the context.

    Raises DataError for a question that is too long: it is never cut.
    """
    found: list[list[Sequence]] = []
    num_special = tokenizer.rust.num_special_tokens_to_add(True)
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK]
        pairs = [(a.question.strip(), a.context) for a in chunk]
        bare = tokenizer.rust.encode_batch_fast([q for q, _ in pairs], add_special_tokens=False)
        rooms = [_room(len(q), a.location, num_special, how) for q, a in zip(bare, chunk, strict=True)]
        for encoding, room in zip(tokenizer.rust.encode_batch(pairs), rooms, strict=True):
            found.append(list(_cut(encoding, room, how, len(found))))
    return found


def _cut(encoding: Any, room: int, how: Windows, group: int) -> Iterator[Sequence]:
    """The windows of one question."""
    owners_L = owners_of(encoding)
    offsets = np.where(owners_L[:, None] == 1, np.asarray(encoding.offsets, np.int32), np.int32(-1))
    ids, types = np.asarray(encoding.ids, np.int32), np.asarray(encoding.type_ids, np.uint8)
    whole = Sequence(ids, types, group, offsets=offsets)
    if how.max_length is None or len(whole) <= how.max_length:
        yield whole
        return
    for kept in windows_over(
        np.flatnonzero(owners_L == 1), len(owners_L), how.max_length, overlap(how.stride, room)
    ):
        yield replace(whole, ids=ids[kept], types=types[kept], offsets=offsets[kept])


def _room(question: int, location: str, num_special: int, how: Windows) -> int:
    """Tokens that a question leaves to the context."""
    if question > how.max_question:
        raise DataError(
            f"{location}: the question has {question} tokens, more than task.max_question="
            f"{how.max_question}; questions are never truncated. Shorten it, or train with "
            f"task.max_question={question} or more"
        )
    if how.max_length is None:
        return 0
    room = how.max_length - num_special - question
    if room < max(1, how.max_length // _LEAST_CONTEXT):
        raise DataError(
            f"{location}: the question has {question} tokens, which leaves {max(0, room)} of a window of "
            f"{how.max_length} to the context. Shorten it, or train with a greater model.max_length"
        )
    return room


def answer_tokens(found: SequenceOf[Sequence], start: int, end: int) -> list[IntArray]:
    """First and last token of the characters from `start` to `end` in each window; 0 and 0 if not inside."""
    tokens = []
    for number, window in enumerate(found):
        inside, offsets = _context(window)
        is_first, is_last = number == 0, number == len(found) - 1
        if not len(inside) or not (
            (is_first or offsets[0, 0] <= start) and (is_last or end <= offsets[-1, 1])
        ):
            tokens.append(np.zeros(2, np.int64))
            continue
        # Characters that a tokenizer leaves out have no token: then the next one starts, the one before ends.
        first = min(int(np.searchsorted(offsets[:, 1], start, "right")), len(inside) - 1)
        last = max(int(np.searchsorted(offsets[:, 0], end, "left")) - 1, first)
        tokens.append(inside[[first, last]])
    return tokens


def passages(
    logits: SequenceOf[FloatArray], found: SequenceOf[Sequence], how: Windows, most_tokens: int, num: int
) -> list[tuple[float, int, int]]:
    """The `num` best passages of each window, best first: score, first character, last + 1.

    The score is that of the start plus that of the end, logits [length, 2]. A token may start a passage in
    the one window only where it has the most context (Devlin et al.'s run_squad.py).
    """
    candidates: list[tuple[float, int, int]] = []
    for window, logit, owned in zip(found, logits, _owned(found, how), strict=True):
        inside, offsets = _context(window)
        if not len(inside):
            continue
        starts_W = np.where(owned, logit[inside, 0], -np.inf)
        ends = np.pad(logit[inside, 1], (0, most_tokens - 1), constant_values=-np.inf)
        scores = starts_W[:, None] + np.lib.stride_tricks.sliding_window_view(ends, most_tokens)
        order = np.argsort(scores, axis=None)[::-1][:num]
        for first, more in zip(*np.unravel_index(order, scores.shape), strict=True):
            if np.isfinite(scores[first, more]):
                last = first + more
                candidates.append((float(scores[first, more]), int(offsets[first, 0]), int(offsets[last, 1])))
    return sorted(candidates, key=lambda passage: (-passage[0], passage[1:]))


def _context(window: Sequence) -> tuple[IntArray, NDArray[np.int32]]:
    """Positions [W] of the context's tokens in a window, and their offsets [W, 2]."""
    assert window.offsets is not None
    inside = np.flatnonzero(window.offsets[:, 0] >= 0)
    return inside, window.offsets[inside]


def _owned(found: SequenceOf[Sequence], how: Windows) -> list[NDArray[np.bool_]]:
    """For each window which of its context's tokens [W] have no more context in another one."""
    sizes = [len(_context(window)[0]) for window in found]
    step = sizes[0] - overlap(how.stride, sizes[0])
    most = np.full(step * (len(sizes) - 1) + max(sizes), -np.inf)
    owner = np.zeros(len(most), np.int64)
    for number, size in enumerate(sizes):
        here = np.arange(size)
        context = np.minimum(here, size - 1 - here) + 0.01 * size
        part = slice(number * step, number * step + size)
        owner[part] = np.where(context > most[part], number, owner[part])
        most[part] = np.maximum(context, most[part])
    return [owner[i * step : i * step + size] == i for i, size in enumerate(sizes)]


def candidate(answer: str | None, start: int | None, end: int | None, score: float) -> dict[str, Any]:
    """An answer as predictions list it; None is no answer."""
    return {"answer": answer, "start": start, "end": end, "score": score}


def distinct(found: SequenceOf[tuple[float, int, int]], context: str) -> list[dict[str, Any]]:
    """Passages as answers without spaces around them, each text once, at its best place."""
    by_text: dict[str, dict[str, Any]] = {}
    for score, start, end in found:
        passage = context[start:end]
        answer = passage.strip()
        first = start + len(passage) - len(passage.lstrip())
        if answer and answer not in by_text:
            by_text[answer] = candidate(answer, first, first + len(answer), score)
    return list(by_text.values())
