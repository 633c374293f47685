"""Functions for the losses of several tasks: reductions over an example's sequences, and weighted losses.

A loss is returned as a sum and the count to divide it by.

Dimensions: S sequences, G examples among them, C classes.
"""

from collections.abc import Sequence as SequenceOf

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax

from bertune.nn.batch import Batch


def numbered(groups_S: Tensor) -> tuple[Tensor, int]:
    """The index [S] of each sequence's example, from 0 in the order of groups, and the number of examples."""
    unique, index_S = torch.unique(groups_S, return_inverse=True)
    return index_S, len(unique)


def group_mean(values_SC: Tensor, groups_S: Tensor) -> Tensor:
    """The mean over each example's sequences, [G, …], in the order of groups."""
    index_S, num_groups = numbered(groups_S)
    counts_G = torch.bincount(index_S, minlength=num_groups).to(values_SC.dtype)
    sums = values_SC.new_zeros((num_groups, *values_SC.shape[1:])).index_add(0, index_S, values_SC)
    return sums / counts_G.view(-1, *[1] * (values_SC.dim() - 1))


def group_log_softmax(scores_S: Tensor, groups_S: Tensor) -> Tensor:
    """The log-softmax [S] of scores over the sequences of each example."""
    index_S, num_groups = numbered(groups_S)
    highest_G = scores_S.new_full((num_groups,), -torch.inf)
    highest_G = highest_G.scatter_reduce(0, index_S, scores_S.detach(), "amax")
    shifted_S = scores_S - highest_G[index_S]
    sums_G = scores_S.new_zeros(num_groups).index_add(0, index_S, shifted_S.exp())
    return shifted_S - sums_G.log()[index_S]


def outputs_of_texts(outputs_SC: Tensor, batch: Batch, are_windows: bool) -> tuple[Tensor, Tensor]:
    """Outputs [G, C] and gold [G, …] of whole texts; with `are_windows`, sequences are windows of texts."""
    assert batch.gold is not None, "a loss requires gold"
    gold_S = batch.gold.view(len(outputs_SC), -1)
    if not are_windows:
        return outputs_SC, gold_S.squeeze(1)
    index_S, num_texts = numbered(batch.groups_S)
    gold_G = gold_S.new_zeros((num_texts, gold_S.shape[1]))
    gold_G[index_S] = gold_S  # equal for all windows of a text
    return group_mean(outputs_SC.float(), batch.groups_S), gold_G.squeeze(1)


def weights_tensor(weights: object, labels: SequenceOf[str]) -> Tensor | None:
    """The class weights [C] in the order of the outputs; None if all are equal."""
    return torch.tensor([weights.get(x, 1.0) for x in labels]) if isinstance(weights, dict) else None


def weighted_cross_entropy(
    logits_SC: Tensor, gold_S: Tensor, weights_C: Tensor | None, focal: float, smoothing: float
) -> tuple[Tensor, Tensor]:
    """The summed softmax cross-entropy, and the sum of the weights, by which torch's mean reduction divides.

    `focal` is gamma of the focal loss (Lin et al. 2017), which multiplies each loss by (1 - p)^gamma;
    `smoothing` is the label smoothing of Szegedy et al. 2016.
    """
    logits = logits_SC.float()
    weights = None if weights_C is None else weights_C.to(logits.device)
    losses_S = cross_entropy(logits, gold_S, weights, reduction="none", label_smoothing=smoothing)
    if focal:
        p_S = log_softmax(logits, -1).gather(1, gold_S[:, None])[:, 0].exp()
        losses_S = losses_S * (1 - p_S) ** focal
    count = torch.tensor(len(gold_S), device=logits.device) if weights is None else weights[gold_S].sum()
    return losses_S.sum(), count


def weighted_binary_cross_entropy(
    logits_SC: Tensor, gold_SC: Tensor, weights_C: Tensor | None, focal: float, smoothing: float
) -> tuple[Tensor, Tensor]:
    """The summed sigmoid cross-entropy of all labels, and their number; weights apply to positive labels."""
    logits, gold = logits_SC.float(), gold_SC.float()
    weights = None if weights_C is None else weights_C.to(logits.device)
    target = gold * (1 - smoothing) + smoothing / 2
    losses_SC = binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")
    if focal:
        p_SC = torch.where(gold > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
        losses_SC = losses_SC * (1 - p_SC) ** focal
    return losses_SC.sum(), torch.tensor(gold.numel(), device=logits.device)
