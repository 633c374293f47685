"""The loss of multi-label classification.

Dimensions: S sequences, C labels.
"""

from dataclasses import replace

import torch
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.parts.loss import outputs_of_texts, weighted_binary_cross_entropy, weights_tensor


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Sum of the sigmoid cross-entropy over all texts and labels, and the number of terms.

    `outputs` are logits [S, C].
    """
    assert batch.gold is not None, "the loss needs gold labels"
    options = fitted.options
    multi_hot = replace(batch, gold=_multi_hot(batch.gold, outputs))
    logits, gold = outputs_of_texts(outputs, multi_hot, fitted.keep_together == "group")
    weights = weights_tensor(options.class_weights, fitted.labels)
    return weighted_binary_cross_entropy(logits, gold, weights, options.focal_gamma, options.label_smoothing)


def _multi_hot(indices: Tensor, like_SC: Tensor) -> Tensor:
    """Multi-hot gold labels [S, C]; in `indices`, a -1 precedes the label indices of each sequence."""
    sequence = (indices < 0).cumsum(0) - 1
    multi_hot_SC = torch.zeros(like_SC.shape, device=indices.device)
    multi_hot_SC[sequence[indices >= 0], indices[indices >= 0]] = 1
    return multi_hot_SC
