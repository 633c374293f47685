"""Owns arithmetic over the sequences of one example: a text's windows, a question's choices, a query's texts.

Dimensions: S sequences, G examples among them.
"""

import torch
from torch import Tensor

from bertune.nn.batch import Batch


def numbered(groups_S: Tensor) -> tuple[Tensor, int]:
    """The examples of sequences numbered from 0 in the order of their group, and how many there are."""
    found, index_S = torch.unique(groups_S, return_inverse=True)
    return index_S, len(found)


def group_mean(values_SC: Tensor, groups_S: Tensor) -> Tensor:
    """The mean over each example's sequences, [G, …], in the order of their groups."""
    index_S, num_groups = numbered(groups_S)
    counts_G = torch.bincount(index_S, minlength=num_groups).to(values_SC.dtype)
    sums = values_SC.new_zeros((num_groups, *values_SC.shape[1:])).index_add(0, index_S, values_SC)
    return sums / counts_G.view(-1, *[1] * (values_SC.dim() - 1))


def group_log_softmax(scores_S: Tensor, groups_S: Tensor) -> Tensor:
    """Log-probabilities [S] among the sequences of each example."""
    index_S, num_groups = numbered(groups_S)
    highest_G = scores_S.new_full((num_groups,), -torch.inf)
    highest_G = highest_G.scatter_reduce(0, index_S, scores_S.detach(), "amax")
    shifted_S = scores_S - highest_G[index_S]
    sums_G = scores_S.new_zeros(num_groups).index_add(0, index_S, shifted_S.exp())
    return shifted_S - sums_G.log()[index_S]


def outputs_of_texts(outputs_SC: Tensor, batch: Batch, are_windows: bool) -> tuple[Tensor, Tensor]:
    """Outputs [G, C] and gold [G, …] of whole texts, each one sequence or, with `are_windows`, several."""
    assert batch.gold is not None, "a loss is asked for where there is gold"
    gold_S = batch.gold.view(len(outputs_SC), -1)
    if not are_windows:
        return outputs_SC, gold_S.squeeze(1)
    index_S, num_texts = numbered(batch.groups_S)
    gold_G = gold_S.new_zeros((num_texts, gold_S.shape[1]))
    gold_G[index_S] = gold_S  # all windows of a text have the same
    return group_mean(outputs_SC.float(), batch.groups_S), gold_G.squeeze(1)
