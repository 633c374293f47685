"""The classification loss."""

from torch import Tensor

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.parts.loss import outputs_of_texts, weighted_cross_entropy, weights_tensor


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed softmax cross-entropy of the texts, and the sum of their weights; outputs are [S, C]."""
    options = fitted.options
    logits, gold = outputs_of_texts(outputs, batch, fitted.keep_together == "group")
    weights = weights_tensor(options.class_weights, fitted.labels)
    return weighted_cross_entropy(logits, gold, weights, options.focal_gamma, options.label_smoothing)
