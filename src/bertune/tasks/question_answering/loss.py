"""The loss of question answering.

Dimensions: S sequences (context windows), T tokens of all sequences concatenated, L tokens of the longest, D
starts and ends of the windows in turn.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.question_answering.answer_spans import UNKNOWN


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The mean of start and end cross-entropy, summed over windows, and the number of windows with gold.

    `outputs` are logits [T, 2].
    """
    assert batch.gold is not None
    gold_S2 = batch.gold.view(-1, 2)
    scores = torch.split(outputs.float(), batch.lengths_S.tolist())
    scores_SL2 = pad_sequence(list(scores), batch_first=True, padding_value=-float("inf"))
    # As rows of one matrix: CUDA has no deterministic kernel for scores with a third dimension.
    scores_DL, gold_D = scores_SL2.transpose(1, 2).flatten(0, 1), gold_S2.flatten()
    total = cross_entropy(scores_DL, gold_D, ignore_index=UNKNOWN, reduction="sum") / 2
    return total, (gold_S2[:, 0] >= 0).sum()
