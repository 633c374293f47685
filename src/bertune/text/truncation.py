"""Which tokens of an encoded text, or pair of texts, stay where it is longer than a model takes.

Everything is decided on the encoding of the whole text. The Rust tokenizer could truncate by itself, but only
by a change of its own state, which threads share. The results are the same as its own.

Dimensions: L tokens with special tokens, K of them kept.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Owners = NDArray[np.int64]  # [L] 0: of the first text, 1: of the second, -1: a special token
Kept = NDArray[np.int64]  # [K] positions, ascending


def owners_of(encoding: Any) -> Owners:
    """Which text each token of a Rust encoding is of."""
    return np.array([-1 if owner is None else owner for owner in encoding.sequence_ids], np.int64)


def longest_first(owners_L: Owners, max_length: int, side: str) -> Kept:
    """The positions kept of a text, or of a pair, whose longer text is cut first, at `side`."""
    parts = [np.flatnonzero(owners_L == text) for text in (0, 1)]
    room = max(0, max_length - int((owners_L < 0).sum()))
    keep_L = np.ones(len(owners_L), bool)
    for part, size in zip(parts, _sizes(len(parts[0]), len(parts[1]), room), strict=True):
        keep_L[part[size:] if side == "right" else part[: len(part) - size]] = False
    return np.flatnonzero(keep_L)


def _sizes(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text stay: the shorter one loses some only where it has over half of them."""
    short, long = sorted((first, second))
    long = min(long, max(short, room - short))
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
