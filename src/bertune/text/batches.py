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


def micro_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[Indices]:
    """Positions of `lengths`, longest first, cut wherever `max_tokens` padded tokens are reached.

    A single sequence longer than `max_tokens` gets a micro-batch of its own.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")[::-1]
    start = 0
    while start < len(order):
        widest = max(1, max_tokens // lengths[order[start]])
        yield order[start : start + widest]
        start += widest
