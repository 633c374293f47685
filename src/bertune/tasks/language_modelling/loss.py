"""The masked language modelling loss, and the reduction of its outputs, which are as wide as the vocabulary.

Dimensions: T tokens of a batch, M of them with gold, V vocabulary size, K most probable words, C columns of
the reduced outputs.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.nn.standard_heads import masked_positions
from bertune.tasks.language_modelling.masking import BEST


def loss(mask: int, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy of the tokens with gold, and their number; outputs are [M, V].

    Tokens with the mask token itself as gold are excluded: the word behind such a mask is unknown.
    """
    assert batch.gold is not None
    gold_M = batch.gold[masked_positions(batch)]
    is_known_M = gold_M != mask
    total = cross_entropy(outputs.float()[is_known_M], gold_M[is_known_M], reduction="sum")
    return total, is_known_M.sum()


def reduce_outputs(outputs: Tensor, batch: Batch) -> Tensor:
    """[T, 1 + 2K]: the log-probability of the gold, those of the K most probable words, and their ids."""
    assert batch.gold is not None
    masked_M = masked_positions(batch)
    logs_MV = outputs.float().log_softmax(-1)
    best_MK = logs_MV.topk(min(BEST, logs_MV.shape[1]))
    gold_M1 = logs_MV.gather(1, batch.gold[masked_M][:, None])
    rows_MC = torch.cat([gold_M1, best_MK.values, best_MK.indices.to(logs_MV.dtype)], 1)
    return rows_MC.new_zeros((len(batch.ids_T), rows_MC.shape[1])).index_copy(0, masked_M, rows_MC)
