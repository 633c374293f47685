"""Owns the sequence, the only currency between tasks and models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Offsets = tuple[int, int]  # of a text: first character, last + 1
Gold = int | float | NDArray[np.int64] | NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """Token ids of one pass through the encoder."""

    ids: NDArray[np.int32]  # [length], with special tokens
    types: NDArray[np.uint8]  # [length], 0 for the first text, 1 for the second
    group: int  # the example it belongs to: several sequences may share one
    gold: Gold = None  # what the task's loss compares with: a number, or an array of them
    num_removed: int = 0  # tokens lost to truncation
    hidden: NDArray[np.float32] | None = None  # [rows, H] what the frozen part of a model makes of it
    offsets: NDArray[np.int32] | None = (
        None  # [length, 2] first and last + 1 character; -1 where there is none
    )

    def __len__(self) -> int:
        return len(self.ids)
