"""The loss of multiple choice.

Dimensions: S sequences, one per choice.
"""

import torch
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.parts.loss import group_log_softmax, numbered


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Softmax cross-entropy summed over questions, and the number of questions; `outputs` are [S, 1]."""
    assert batch.gold is not None
    log_probabilities_S = group_log_softmax(outputs[:, 0].float(), batch.groups_S)
    num_questions = numbered(batch.groups_S)[1]
    total = -(batch.gold * log_probabilities_S).sum()
    return total, torch.tensor(num_questions, device=total.device)
