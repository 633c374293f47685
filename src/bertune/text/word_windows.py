"""Windows over pre-tokenized texts: every word is tokenized separately.

Dimensions: W words of a text.
"""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DataError
from bertune.text.sequences import Offsets, Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.text.windows import overlap, windows_over

_CHUNK = 1000  # texts tokenized at once: the Rust encoding of a long text is large


def word_windows(
    texts: SequenceOf[tuple[str, SequenceOf[Offsets]]],
    tokenizer: Tokenizer,
    max_length: int | None,
    stride: int,
) -> list[list[Sequence]]:
    """The windows of every text, of at most `max_length` tokens; `group` is the text's position.

    Neighbouring windows share `stride` tokens, but at most half a window. Offsets refer to the text; the
    first token of a word starts at the word's first character. Raises DataError if `max_length` leaves no
    room for a token.
    """
    rust = tokenizer.rust
    all_windows: list[list[Sequence]] = []
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        inputs, leads = _inputs(chunk, _knows_spaces(rust))
        encodings = rust.encode_batch(inputs, is_pretokenized=True)
        for (_, words), encoding, lead in zip(chunk, encodings, leads, strict=True):
            whole = _sequence(encoding, words, lead, len(all_windows))
            all_windows.append(list(_cut(whole, max_length, stride)))
    return all_windows


def _knows_spaces(rust: Any) -> bool:
    """Whether the tokens of a word depend on a preceding space, as in byte-level vocabularies."""
    bare, spaced = (rust.encode(text, add_special_tokens=False).ids for text in ("a", " a"))
    return bool(bare != spaced)


def _inputs(
    texts: SequenceOf[tuple[str, SequenceOf[Offsets]]], with_spaces: bool
) -> tuple[list[list[str]], list[NDArray[np.int32]]]:
    """The words of every text for the tokenizer, and the number of characters [W] added before each word."""
    inputs, leads = [], []
    for text, words in texts:
        lead = [int(with_spaces and start > 0 and text[start - 1].isspace()) for start, _ in words]
        inputs.append([" " * more + text[start:end] for (start, end), more in zip(words, lead, strict=True)])
        leads.append(np.array(lead, np.int32))
    return inputs, leads


def _sequence(encoding: Any, words: SequenceOf[Offsets], leads: NDArray[np.int32], group: int) -> Sequence:
    """The whole text as one sequence."""
    word_index = np.array([-1 if word is None else word for word in encoding.word_ids])
    inside = np.flatnonzero(word_index >= 0)
    offsets = np.full((len(encoding), 2), -1, np.int32)
    if len(inside):
        word_offsets = np.array(words, np.int32)[word_index[inside]]
        in_word = np.array(encoding.offsets, np.int32)[inside] - leads[word_index[inside], None]
        offsets[inside] = np.clip(word_offsets[:, :1] + in_word, word_offsets[:, :1], word_offsets[:, 1:])
        _, first = np.unique(word_index[inside], return_index=True)
        offsets[inside[first], 0] = word_offsets[first, 0]
    ids, types = np.asarray(encoding.ids, np.int32), np.asarray(encoding.type_ids, np.uint8)
    return Sequence(ids, types, group, offsets=offsets)


def _cut(whole: Sequence, max_length: int | None, stride: int) -> Iterator[Sequence]:
    """The sequence itself, or windows over it with the same special tokens around each."""
    assert whole.offsets is not None
    inside = np.flatnonzero(whole.offsets[:, 0] >= 0)
    if max_length is None or len(whole) <= max_length or not len(inside):
        yield whole
        return
    first, last = int(inside[0]), int(inside[-1]) + 1
    room = max_length - (len(whole) - (last - first))
    if room < 1:
        raise DataError(
            f"model.max_length={max_length} leaves no room for a token between the special tokens. Set a "
            "larger value"
        )
    words = np.arange(first, last)
    for kept in windows_over(words, len(whole), max_length, overlap(stride, room), fill_last=True):
        yield Sequence(whole.ids[kept], whole.types[kept], whole.group, offsets=whole.offsets[kept])
