"""The loss of language modelling, and what is kept of its wide outputs.

Dimensions: T tokens of a batch, M of them that the model is asked for, V words of the vocabulary, K most
probable ones, C numbers of a row.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.nn.standard_heads import masked_positions

_BEST = 5  # words that a prediction names for each mask


def loss(mask: int, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the tokens asked for, and their number; outputs are [M, V].

    Where the gold is the mask token itself, nobody knows the word, and the token does not count.
    """
    assert batch.gold is not None
    gold_M = batch.gold[masked_positions(batch)]
    is_known_M = gold_M != mask
    total = cross_entropy(outputs.float()[is_known_M], gold_M[is_known_M], reduction="sum")
    return total, is_known_M.sum()


def reduce_outputs(outputs: Tensor, batch: Batch) -> Tensor:
    """[T, 1 + 2K]: the log-probability of the gold, then of the K most probable words with their ids."""
    assert batch.gold is not None
    masked_M = masked_positions(batch)
    logs_MV = outputs.float().log_softmax(-1)
    best_MK = logs_MV.topk(min(_BEST, logs_MV.shape[1]))
    gold_M1 = logs_MV.gather(1, batch.gold[masked_M][:, None])
    rows_MC = torch.cat([gold_M1, best_MK.values, best_MK.indices.to(logs_MV.dtype)], 1)
    return rows_MC.new_zeros((len(batch.ids_T), rows_MC.shape[1])).index_copy(0, masked_M, rows_MC)
