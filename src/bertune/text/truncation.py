"""Truncation: which tokens of a text or pair of texts are kept if it exceeds the maximum length.

Truncation works on the encoding of the whole text. The Rust tokenizer can also truncate, but only by changing
its state, which threads share. The results are the same.

Dimensions: L tokens with special tokens, K kept tokens.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Owners = NDArray[np.int64]  # [L] 0: first text, 1: second text, -1: special token
Kept = NDArray[np.int64]  # [K] positions, ascending


def owners_of(encoding: Any) -> Owners:
    """The text that each token of a Rust encoding belongs to."""
    return np.array([-1 if owner is None else owner for owner in encoding.sequence_ids], np.int64)


def longest_first(owners_L: Owners, max_length: int, side: str) -> Kept:
    """The kept positions of a text or pair; the longer text of a pair is truncated first, at `side`."""
    parts = [np.flatnonzero(owners_L == text) for text in (0, 1)]
    room = max(0, max_length - int((owners_L < 0).sum()))
    keep_L = np.ones(len(owners_L), bool)
    for part, size in zip(parts, _sizes(len(parts[0]), len(parts[1]), room), strict=True):
        keep_L[part[size:] if side == "right" else part[: len(part) - size]] = False
    return np.flatnonzero(keep_L)


def _sizes(first: int, second: int, room: int) -> tuple[int, int]:
    """The number of kept tokens per text: the shorter text is truncated only beyond half of `room`."""
    short, long = sorted((first, second))
    long = min(long, max(short, room - short))
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
