"""Overlapping windows over the tokens of a long text, passage or list of words.

Dimensions: L tokens with special tokens, N tokens that are split into windows, K tokens in a window.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def overlap(stride: int, room: int) -> int:
    """The number of tokens that neighbouring windows share: `stride`, but at most half of `room`."""
    return min(stride, max(0, room // 2))


def windows_over(
    inside_N: Positions, length: int, max_length: int, shared: int, fill_last: bool = False
) -> Iterator[Positions]:
    """Yield the ascending positions [K] of each window: a slice of `inside_N` plus all other tokens.

    Args:
        inside_N: the tokens that are split into windows, ascending.
        length: L, the length of the whole sequence.
        max_length: tokens per window; it must leave room for more than `shared` tokens of `inside_N`.
        shared: tokens of `inside_N` that neighbouring windows have in common.
        fill_last: start the last window early enough that it is as long as the others.
    """
    around = np.setdiff1d(np.arange(length), inside_N, assume_unique=True)
    room = max_length - len(around)
    assert room > shared, "a window must have tokens that its neighbour does not have"
    for start in range(0, max(1, len(inside_N)), room - shared):
        first = max(0, min(start, len(inside_N) - room)) if fill_last else start
        yield np.sort(np.concatenate([around, inside_N[first : first + room]]))
        if start + room >= len(inside_N):
            return
