"""The batch plan: which examples form an optimizer step, and how a step is split into micro-batches.

The examples of a step depend only on the seed. The split into micro-batches depends on the available memory
and does not change results beyond rounding.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """The number of optimizer steps per epoch; the last one may have fewer examples."""
    return math.ceil(num_examples / batch_size)


def step_examples(num_examples: int, batch_size: int, seed: int, first_step: int = 0) -> Iterator[Indices]:
    """Yield the example indices of each optimizer step from `first_step` on, without end.

    Each epoch is a permutation that depends only on seed and epoch, so resuming a run needs no random state.
    """
    per_epoch = steps_per_epoch(num_examples, batch_size)
    epoch, skip = divmod(first_step, per_epoch)
    while True:
        order = np.random.default_rng([seed, epoch]).permutation(num_examples)
        for step in range(skip, per_epoch):
            yield order[step * batch_size : (step + 1) * batch_size]
        epoch, skip = epoch + 1, 0


def micro_batches(
    lengths: Sequence[int], max_tokens: int, groups: Sequence[int] | None = None
) -> Iterator[Indices]:
    """Yield positions into `lengths`, longest first, in micro-batches of at most `max_tokens` padded tokens.

    Sequences with the same number in `groups` stay together. A sequence or group with more than `max_tokens`
    gets its own micro-batch.
    """
    if groups is not None:
        yield from _whole_groups(lengths, max_tokens, groups)
        return
    order = np.argsort(np.asarray(lengths), kind="stable")[::-1]
    start = 0
    while start < len(order):
        widest = max(1, max_tokens // lengths[order[start]])
        yield order[start : start + widest]
        start += widest


def slices(lengths: Sequence[int], max_tokens: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `max_tokens` padded tokens; `lengths` must be descending."""
    start = 0
    while start < len(lengths):
        widest = max(1, max_tokens // lengths[start])
        yield slice(start, min(start + widest, len(lengths)))
        start += widest


def _members(groups: Sequence[int]) -> list[list[int]]:
    members: dict[int, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    return list(members.values())


def _whole_groups(lengths: Sequence[int], max_tokens: int, groups: Sequence[int]) -> Iterator[Indices]:
    def longest(members: list[int]) -> int:
        return max(lengths[i] for i in members)

    waiting: list[int] = []
    widest = 0
    for members in sorted(_members(groups), key=longest, reverse=True):
        if waiting and (len(waiting) + len(members)) * widest > max_tokens:
            yield _longest_first(waiting, lengths)
            waiting = []
        widest = widest if waiting else longest(members)
        waiting += members
    if waiting:
        yield _longest_first(waiting, lengths)


def _longest_first(positions: list[int], lengths: Sequence[int]) -> Indices:
    order = np.argsort(np.asarray([lengths[i] for i in positions]), kind="stable")[::-1]
    return np.asarray(positions)[order]
