"""Batches: sequences concatenated into tensors without padding.

Dimensions: T tokens of all sequences, S sequences, H hidden size.
"""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertune.text.sequences import Gold, Sequence


@dataclass(frozen=True)
class Batch:
    """Concatenated sequences, without padding."""

    ids_T: Tensor  # int64
    types_T: Tensor  # int64
    lengths_S: Tensor  # int64, on the CPU, where shapes are computed
    groups_S: Tensor  # int64
    gold: Tensor | None  # [S], or the concatenated arrays of all sequences
    hidden: Tensor | None = None  # [T, H], or [S, H] if everything but the head is frozen
    words: Tensor | None = None  # [T, H] vectors that replace the word embeddings of `ids_T`

    def to(self, device: torch.device) -> "Batch":
        """The batch with its tensors on a device (lengths stay on the CPU)."""
        if device.type == "cpu":
            return self
        ids_T, types_T = self.ids_T.to(device), self.types_T.to(device)
        gold = None if self.gold is None else self.gold.to(device)
        hidden = None if self.hidden is None else self.hidden.to(device)
        words = None if self.words is None else self.words.to(device)
        return Batch(ids_T, types_T, self.lengths_S, self.groups_S.to(device), gold, hidden, words)


def collate(sequences: SequenceOf[Sequence]) -> Batch:
    """Concatenate sequences into a batch, in order."""
    return Batch(
        ids_T=torch.from_numpy(np.concatenate([s.ids for s in sequences]).astype(np.int64)),
        types_T=torch.from_numpy(np.concatenate([s.types for s in sequences]).astype(np.int64)),
        lengths_S=torch.tensor([len(s) for s in sequences]),
        groups_S=torch.tensor([s.group for s in sequences]),
        gold=_collate_gold([s.gold for s in sequences]),
        hidden=_collate_hidden([s.hidden for s in sequences]),
    )


def _collate_gold(gold: list[Gold]) -> Tensor | None:
    if any(g is None for g in gold):
        return None
    if isinstance(gold[0], np.ndarray):
        return torch.from_numpy(np.concatenate([np.asarray(g) for g in gold]))
    return torch.tensor(gold)


def _collate_hidden(hidden: list[NDArray[np.float32] | None]) -> Tensor | None:
    present = [h for h in hidden if h is not None]
    return torch.from_numpy(np.concatenate(present)) if len(present) == len(hidden) else None
