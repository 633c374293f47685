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
    """Sigmoid cross-entropy of every label of texts, summed, and their number; outputs are [S, C]."""
    assert batch.gold is not None, "a loss is asked for where there is gold"
    options = fitted.options
    multi_hot = replace(batch, gold=_hot(batch.gold, outputs))
    logits, gold = outputs_of_texts(outputs, multi_hot, fitted.keep_together == "group")
    weights = weights_tensor(options.class_weights, fitted.labels)
    return weighted_binary_cross_entropy(logits, gold, weights, options.focal_gamma, options.label_smoothing)


def _hot(numbers: Tensor, like_SC: Tensor) -> Tensor:
    """1 for each label of each sequence, else 0, [S, C]; `numbers` has a -1 before each sequence's labels."""
    sequence = (numbers < 0).cumsum(0) - 1
    hot_SC = torch.zeros(like_SC.shape, device=numbers.device)
    hot_SC[sequence[numbers >= 0], numbers[numbers >= 0]] = 1
    return hot_SC
