"""Overlapping windows over the tokens of a long text, passage or list of words.

Dimensions: L tokens with special tokens, N of them divided among windows, K kept in a window.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def overlap(stride: int, room: int) -> int:
    """Tokens that neighbouring windows share: `stride`, or half of a window's `room` where that is less."""
    return min(stride, max(0, room // 2))


def windows_over(
    inside_N: Positions, length: int, max_length: int, shared: int, fill_last: bool = False
) -> Iterator[Positions]:
    """The positions [K] of each window, ascending: some of `inside_N`, and all other tokens of the sequence.

    Args:
        inside_N: the tokens that are divided among windows, ascending.
        length: L, of the whole sequence.
        max_length: tokens of a window; it must leave room for more than `shared` of `inside_N`.
        shared: tokens of `inside_N` that neighbours have in common.
        fill_last: start the last window early enough that it is as long as the others.
    """
    around = np.setdiff1d(np.arange(length), inside_N, assume_unique=True)
    room = max_length - len(around)
    assert room > shared, "a window must have tokens that its neighbour does not"
    for start in range(0, max(1, len(inside_N)), room - shared):
        first = max(0, min(start, len(inside_N) - room)) if fill_last else start
        yield np.sort(np.concatenate([around, inside_N[first : first + room]]))
        if start + room >= len(inside_N):
            return
