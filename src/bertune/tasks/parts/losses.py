"""Owns losses with weights: each is a sum and the count that makes a mean of it.

Dimensions: S sequences, C classes.
"""

from collections.abc import Sequence as SequenceOf

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax


def weights_tensor(weights: object, labels: SequenceOf[str]) -> Tensor | None:
    """The weights of labels in the order of the outputs [C]; None where the option gives none."""
    return torch.tensor([weights.get(x, 1.0) for x in labels]) if isinstance(weights, dict) else None


def weighted_cross_entropy(
    logits_SC: Tensor, gold_S: Tensor, weights_C: Tensor | None, focal: float, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Softmax cross-entropy and the sum of its weights, as torch's mean divides.

    `focal` is gamma of Lin et al. 2017, the factor (1 - p)^gamma on each loss; `smoothing` that of Szegedy et
    al. 2016.
    """
    logits = logits_SC.float()
    weights = None if weights_C is None else weights_C.to(logits.device)
    losses_S = cross_entropy(logits, gold_S, weights, reduction="none", label_smoothing=smoothing)
    if focal:
        sure_S = log_softmax(logits, -1).gather(1, gold_S[:, None])[:, 0].exp()
        losses_S = losses_S * (1 - sure_S) ** focal
    count = torch.tensor(len(gold_S), device=logits.device) if weights is None else weights[gold_S].sum()
    return losses_S.sum(), count


def weighted_binary_cross_entropy(
    logits_SC: Tensor, gold_SC: Tensor, weights_C: Tensor | None, focal: float, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sigmoid cross-entropy of every label and the number of them; weights are those of labels that apply."""
    logits, gold = logits_SC.float(), gold_SC.float()
    weights = None if weights_C is None else weights_C.to(logits.device)
    target = gold * (1 - smoothing) + smoothing / 2
    losses_SC = binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")
    if focal:
        sure_SC = torch.where(gold > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
        losses_SC = losses_SC * (1 - sure_SC) ** focal
    return losses_SC.sum(), torch.tensor(gold.numel(), device=logits.device)
