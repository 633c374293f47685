"""Sliding windows over the context of a question, and candidate answer spans in each window.

Dimensions: W context tokens in one window.
"""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DataError
from bertune.metrics.arrays import FloatArray, IntArray
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer, joined_offsets
from bertune.text.truncation import owners_of
from bertune.text.windows import overlap, windows_over

UNKNOWN = -1  # gold position if the answer does not occur in the context; the loss ignores it
_CHUNK = 200  # questions tokenized at once: the Rust encoding of a long context is large
_MIN_CONTEXT = 4  # at least 1 / 4 of a window must be available for the context


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context."""

    question: str
    context: str
    location: str  # where it was read, for errors


@dataclass(frozen=True, slots=True)
class Windows:
    """Settings for splitting contexts into windows."""

    max_length: int | None  # tokens per sequence; None keeps the whole context in one sequence
    stride: int  # overlap of neighbouring windows, in tokens; less if a window is too short
    max_question: int  # tokens


def windows(questions: SequenceOf[Question], tokenizer: Tokenizer, how: Windows) -> list[list[Sequence]]:
    """The windows of every question, each preceded by the whole question; offsets refer to the context.

    With `tokenizer.with_offsets`, `joined_offsets` computes them, including the question. Raises
    DataError for a question that is too long: questions are never truncated.
    """
    all_windows: list[list[Sequence]] = []
    num_special = tokenizer.rust.num_special_tokens_to_add(True)
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK]
        pairs = [(a.question.strip(), a.context) for a in chunk]
        bare = tokenizer.rust.encode_batch_fast([q for q, _ in pairs], add_special_tokens=False)
        rooms = [_room(len(q), a.location, num_special, how) for q, a in zip(bare, chunk, strict=True)]
        for encoding, room, pair in zip(tokenizer.rust.encode_batch(pairs), rooms, pairs, strict=True):
            offsets = joined_offsets(encoding, pair[0]) if tokenizer.with_offsets else _in_context(encoding)
            all_windows.append(list(_cut(encoding, offsets, room, how, len(all_windows))))
    return all_windows


def _in_context(encoding: Any) -> NDArray[np.int32]:
    """The character offsets [L, 2] of the tokens of the context; -1 for other tokens."""
    return np.where(owners_of(encoding)[:, None] == 1, np.asarray(encoding.offsets, np.int32), np.int32(-1))


def _cut(
    encoding: Any, offsets: NDArray[np.int32], room: int, how: Windows, group: int
) -> Iterator[Sequence]:
    """The windows of one question."""
    owners_L = owners_of(encoding)
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
    """The number of tokens in a window that remain for the context."""
    if question > how.max_question:
        raise DataError(
            f"{location}: the question has {question} tokens, more than task.max_question="
            f"{how.max_question}. Questions are never truncated. Shorten the question, or set "
            f"task.max_question={question} or higher"
        )
    if how.max_length is None:
        return 0
    room = how.max_length - num_special - question
    if room < max(1, how.max_length // _MIN_CONTEXT):
        raise DataError(
            f"{location}: the question has {question} tokens, which leaves only {max(0, room)} of the "
            f"{how.max_length} tokens in a window for the context. Shorten the question, or set a larger "
            "model.max_length"
        )
    return room


def answer_tokens(all_windows: SequenceOf[Sequence], start: int, end: int) -> list[IntArray]:
    """Positions of the first and last token of characters `start` to `end` in each window.

    Both are 0 if the window does not contain the whole answer.
    """
    tokens = []
    for number, window in enumerate(all_windows):
        inside, offsets = _context(window)
        is_first, is_last = number == 0, number == len(all_windows) - 1
        if not len(inside) or not (
            (is_first or offsets[0, 0] <= start) and (is_last or end <= offsets[-1, 1])
        ):
            tokens.append(np.zeros(2, np.int64))
            continue
        # Characters that the tokenizer drops have no token: use the next token as start, the previous as end.
        first = min(int(np.searchsorted(offsets[:, 1], start, "right")), len(inside) - 1)
        last = max(int(np.searchsorted(offsets[:, 0], end, "left")) - 1, first)
        tokens.append(inside[[first, last]])
    return tokens


def best_tokens(
    outputs: SequenceOf[NDArray[np.float32]],
    all_windows: SequenceOf[Sequence],
    start: int | None,
    end: int | None,
) -> tuple[int, IntArray]:
    """The window in which the span of a prediction has the highest score, and its first and last token.

    For "no answer", `start` and `end` are None and both tokens are the first token of the window; as in the
    prediction, the window with the lowest score counts. `outputs` are [length, 2] per window.
    """
    if start is None or end is None:
        return int(np.argmin([output[0].sum() for output in outputs])), np.zeros(2, np.int64)
    tokens = answer_tokens(all_windows, start, end)
    scores = [
        float(output[first, 0] + output[last, 1]) if first else -np.inf
        for output, (first, last) in zip(outputs, tokens, strict=True)
    ]
    best = int(np.argmax(scores))
    return best, tokens[best]


def passages(
    logits: SequenceOf[FloatArray],
    all_windows: SequenceOf[Sequence],
    how: Windows,
    max_tokens: int,
    num: int,
) -> list[tuple[float, int, int]]:
    """The `num` best spans of each window, best first: score, first character, last character + 1.

    The score is the sum of the start and the end logit; `logits` are [length, 2] per window. A span may start
    at a token only in the window where that token has the most context (run_squad.py of Devlin et al.).
    """
    candidates: list[tuple[float, int, int]] = []
    for window, logit, is_max in zip(all_windows, logits, _max_context(all_windows, how), strict=True):
        inside, offsets = _context(window)
        if not len(inside):
            continue
        starts_W = np.where(is_max, logit[inside, 0], -np.inf)
        ends = np.pad(logit[inside, 1], (0, max_tokens - 1), constant_values=-np.inf)
        scores = starts_W[:, None] + np.lib.stride_tricks.sliding_window_view(ends, max_tokens)
        order = np.argsort(scores, axis=None)[::-1][:num]
        for first, more in zip(*np.unravel_index(order, scores.shape), strict=True):
            if np.isfinite(scores[first, more]):
                last = first + more
                candidates.append((float(scores[first, more]), int(offsets[first, 0]), int(offsets[last, 1])))
    return sorted(candidates, key=lambda span: (-span[0], span[1:]))


def _context(window: Sequence) -> tuple[IntArray, NDArray[np.int32]]:
    """Positions [W] of the context tokens in a window, and their character offsets [W, 2]."""
    assert window.offsets is not None
    inside = np.flatnonzero(window.offsets[:, 0] >= 0)
    return inside, window.offsets[inside]


def _max_context(all_windows: SequenceOf[Sequence], how: Windows) -> list[NDArray[np.bool_]]:
    """For each window, whether its context tokens [W] have the most surrounding context in this window."""
    sizes = [len(_context(window)[0]) for window in all_windows]
    step = sizes[0] - overlap(how.stride, sizes[0])
    most = np.full(step * (len(sizes) - 1) + max(sizes), -np.inf)
    best_window = np.zeros(len(most), np.int64)
    for number, size in enumerate(sizes):
        position = np.arange(size)
        # As in run_squad.py: the smaller of left and right context; 0.01 prefers longer windows in ties.
        context = np.minimum(position, size - 1 - position) + 0.01 * size
        part = slice(number * step, number * step + size)
        best_window[part] = np.where(context > most[part], number, best_window[part])
        most[part] = np.maximum(context, most[part])
    return [best_window[i * step : i * step + size] == i for i, size in enumerate(sizes)]


def candidate(answer: str | None, start: int | None, end: int | None, score: float) -> dict[str, Any]:
    """An entry of the n-best list of a prediction; an answer of None means "no answer"."""
    return {"answer": answer, "start": start, "end": end, "score": score}


def distinct(spans: SequenceOf[tuple[float, int, int]], context: str) -> list[dict[str, Any]]:
    """Turn spans into answers without surrounding whitespace; duplicates keep the best-scored span."""
    by_text: dict[str, dict[str, Any]] = {}
    for score, start, end in spans:
        span_text = context[start:end]
        answer = span_text.strip()
        first = start + len(span_text) - len(span_text.lstrip())
        if answer and answer not in by_text:
            by_text[answer] = candidate(answer, first, first + len(answer), score)
    return list(by_text.values())
