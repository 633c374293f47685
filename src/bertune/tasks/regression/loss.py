"""The regression loss."""

import torch
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.parts.loss import outputs_of_texts


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed squared error of the texts, and the number of texts; outputs are [S, 1]."""
    predicted, gold = outputs_of_texts(outputs, batch, fitted.keep_together == "group")
    total = ((predicted[:, 0].float() - gold.float()) ** 2).sum()
    return total, torch.tensor(len(gold), device=total.device)
