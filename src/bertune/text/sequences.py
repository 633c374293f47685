"""The `Sequence` data class, which tasks pass to models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Offsets = tuple[int, int]  # first character, last character + 1
Gold = int | float | NDArray[np.int64] | NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One input sequence of the encoder."""

    ids: NDArray[np.int32]  # [length] token ids, with special tokens
    types: NDArray[np.uint8]  # [length] token type ids: 0 for the first text, 1 for the second
    group: int  # index of the example; one example may have several sequences
    gold: Gold = None  # target of the task's loss: a number or an array
    num_removed: int = 0  # number of truncated tokens
    hidden: NDArray[np.float32] | None = None  # [rows, H] cached hidden states of the frozen layers
    offsets: NDArray[np.int32] | None = None  # [length, 2] character offsets; -1 for special tokens

    def __len__(self) -> int:
        return len(self.ids)
