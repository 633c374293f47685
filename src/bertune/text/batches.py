"""Owns the batch plan: which examples make an optimizer step, and how a step is cut to fit the machine.

What is computed (the examples of a step) depends on the seed alone; how it is cut into micro-batches is the
machine's business and changes no result beyond rounding.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Optimizer steps in one pass; the last one may hold fewer examples."""
    return math.ceil(num_examples / batch_size)


def step_examples(num_examples: int, batch_size: int, seed: int, first_step: int = 0) -> Iterator[Indices]:
    """The examples of each optimizer step from `first_step` on, epoch after epoch, without end.

    Each epoch is a fresh permutation that depends on seed and epoch only, so a resumed run needs no state.
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
    """Positions of `lengths`, longest first, cut wherever `max_tokens` padded tokens are reached.

    Sequences with the same number in `groups` stay together. A sequence, or a group, that takes more than
    `max_tokens` by itself gets a micro-batch of its own.
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
    """Consecutive pieces of at most `max_tokens` padded tokens; `lengths` are longest first."""
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
