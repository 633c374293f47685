"""The layout of packed sequences: which tokens belong to which sequence, and how attention groups sequences.

The sizes of matrix products are rounded up to a few values, because the CPU library prepares a kernel for
every new shape, which takes as long as ten products of a short text. The additional rows are zero and unused.

Dimensions: T tokens of all sequences, R the same rounded up, B sequences, L longest sequence of a group.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]

_MAX_SCORES = 2**14  # maximum attention scores of a group per head, so that they stay in the cache
_ENOUGH_ALIKE = 8  # from this many sequences of equal length on, they form a group without padding
_NEVER = -30000.0  # the exponential is 0 relative to any real score; -inf would make empty rows NaN


@dataclass(frozen=True)
class Group:
    """Consecutive sequences for which attention is computed together on a padded view."""

    tokens: slice  # slice of the T packed tokens
    sequences: slice  # slice of the B packed sequences
    num_rows: int  # sequences of the padded view, including empty ones
    longest: int  # positions of the padded view
    slots: Tensor | None  # [tokens] index in the padded view; None without padding
    bias: Tensor | None  # [num_rows, 1, 1, L] added to the scores; 0 at tokens

    @property
    def num_sequences(self) -> int:
        """The number of sequences, without empty rows."""
        return int(self.sequences.stop - self.sequences.start)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Group":
        """The group for scores on a device and in a dtype."""
        if self.slots is None or self.bias is None:
            return self
        return replace(self, slots=self.slots.to(device), bias=self.bias.to(device, dtype))


@dataclass(frozen=True)
class Layout:
    """The position of each packed token in its sequence, and the boundaries of the sequences."""

    positions_T: Tensor  # position in its sequence
    starts_B: Tensor  # index of the first token of each sequence
    lengths_B: Tensor  # on the CPU
    num_rows: int  # R
    dtype: torch.dtype  # of the attention scores

    @property
    def num_tokens(self) -> int:
        """The number of tokens T."""
        return len(self.positions_T)

    @property
    def longest(self) -> int:
        """The length of the longest sequence in tokens."""
        return int(self.lengths_B.max())

    @cached_property
    def edges(self) -> Tensor:
        """The start of each sequence and the end of the last one [B + 1], int32 as CUDA kernels require."""
        ends_B = torch.cumsum(self.lengths_B, 0)
        return torch.cat([ends_B.new_zeros(1), ends_B]).to(self.starts_B.device, torch.int32)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All sequences, divided into groups for attention."""
        lengths = self.lengths_B.numpy()
        starts, positions = _places(lengths)
        return tuple(
            _group(lengths, positions, starts, members).to(self.starts_B.device, self.dtype)
            for members in _cut(lengths.tolist())
        )


def layout(lengths_B: Tensor, device: torch.device, dtype: torch.dtype) -> Layout:
    """The layout of sequences with the given lengths; `dtype` is the dtype of the attention scores."""
    starts, positions = _places(lengths_B.numpy())
    positions_T, starts_B = torch.from_numpy(positions), torch.from_numpy(starts)
    return Layout(positions_T.to(device), starts_B.to(device), lengths_B, _round_up(len(positions)), dtype)


def _places(lengths_B: IntArray) -> tuple[IntArray, IntArray]:
    """The start of each sequence, and the position of each token in its sequence."""
    # NumPy instead of torch: each of these many small operations would wake the threads of torch.
    starts = np.cumsum(lengths_B) - lengths_B
    return starts, np.arange(lengths_B.sum()) - np.repeat(starts, lengths_B)


def _cut(lengths: list[int]) -> Iterator[slice]:
    start = 0
    while start < len(lengths):
        size = _num_alike(lengths, start)
        if size < _ENOUGH_ALIKE:
            size = 1
            while start + size < len(lengths):
                longest = _round_up(max(lengths[start : start + 2 * size]))
                if 2 * size * longest**2 > _MAX_SCORES:
                    break
                size *= 2
        yield slice(start, min(start + size, len(lengths)))
        start += size


def _num_alike(lengths: list[int], start: int) -> int:
    """The number of equally long sequences from `start` on, as a power of two, at most what fits a group."""
    length, most = lengths[start], max(1, _MAX_SCORES // lengths[start] ** 2)
    alike = takewhile(lambda other: other == length, islice(lengths, start, start + most))
    return 1 << (sum(1 for _ in alike).bit_length() - 1)


def _round_up(size: int) -> int:
    """Round up to one of a few sizes, in steps of at most an eighth and at least 8."""
    step: int = max(8, 1 << max(0, size.bit_length() - 5))
    return (size + step - 1) // step * step


def _group(lengths_B: IntArray, positions_T: IntArray, starts_B: IntArray, members: slice) -> Group:
    lengths = lengths_B[members]
    num, longest = len(lengths), int(lengths.max())
    num_rows = 1 << (num - 1).bit_length()
    if num < _ENOUGH_ALIKE or int(lengths.min()) < longest:
        longest = _round_up(longest)
    first = int(starts_B[members.start])
    tokens = slice(first, first + int(lengths.sum()))
    if int(lengths.min()) == longest and num_rows == num:
        return Group(tokens, members, num, longest, None, None)
    slots = positions_T[tokens] + np.repeat(np.arange(num) * longest, lengths)
    bias = np.zeros((num_rows, 1, 1, longest), np.float32)
    bias[:num, 0, 0][np.arange(longest) >= lengths[:, None]] = _NEVER
    return Group(tokens, members, num_rows, longest, torch.from_numpy(slots), torch.from_numpy(bias))
