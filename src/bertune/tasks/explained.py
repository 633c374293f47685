"""The number that an explanation explains, such as the logit of a label, computed from the outputs.

Dimensions: L tokens of a sequence, C outputs, K outputs that the number depends on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertune.errors import DataError, did_you_mean, listed

Target = str | int | None


@dataclass(frozen=True)
class OutputWeights:
    """A linear function of the outputs of one sequence: the sum of `values` times the outputs they refer to.

    Linear, so that the contributions of the windows of a text can be added up.
    """

    sequence: int  # position among the sequences of the example
    rows: NDArray[np.int64]  # [K] rows of the outputs that the head computes for the sequence
    columns: NDArray[np.int64]  # [K] the output
    values: NDArray[np.float64]  # [K]
    tokens: ArrayLike = ()  # the tokens that the number belongs to, such as a mask; none: the whole text

    @classmethod
    def of_row(cls, sequence: int, columns: ArrayLike, values: ArrayLike, row: int = 0) -> "OutputWeights":
        """Weights of outputs in a single row; `columns` and `values` are [K]."""
        found = np.asarray(columns, np.int64)
        return cls(sequence, np.full(len(found), row), found, np.asarray(values, np.float64))


@dataclass(frozen=True)
class Explained:
    """The number that an explanation explains, as a sum over sequences."""

    target: Target  # the label, or the position of the choice, entity or mask; None if there is only one
    weights: tuple[OutputWeights, ...]  # of the sequences that contribute


@dataclass(frozen=True)
class Attributions:
    """The contribution of every token of a sequence to a number, and what the contributions add up to."""

    tokens: NDArray[np.float64]  # [L]
    value: float  # the number for the sequence
    baseline: float  # the number for a sequence whose words carry no information


def contrast(num_outputs: int, chosen: int) -> NDArray[np.float64]:
    """The weights [C] of the outputs in one logit minus the mean of the others.

    A softmax depends only on differences of logits, so a part that all logits share must not count.
    """
    weights_C = np.full(num_outputs, -1 / max(1, num_outputs - 1))
    weights_C[chosen] = 1.0
    return weights_C


def label_position(target: Target, labels: tuple[str, ...]) -> int:
    """The position of the label to explain. Raises DataError if there is no such label."""
    if target not in labels:
        near = did_you_mean(str(target), labels)
        raise DataError(
            f'the target "{target}" is not a label of this model.{near or f" Expected {listed(labels)}"}'
        )
    return labels.index(str(target))


def item_position(target: Target, count: int, noun: str) -> int:
    """The position of the item to explain among `count`. Raises DataError if there is no such item."""
    if not isinstance(target, int) or isinstance(target, bool) or not 0 <= target < count:
        raise DataError(
            f"the target {target!r} is not the position of one of the {count} {noun}s. Expected an integer "
            f"from 0 to {count - 1}"
        )
    return target
