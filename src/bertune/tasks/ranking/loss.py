"""The ranking losses.

Dimensions: S sequences, each a query with one of its documents; G queries.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bertune.nn.batch import Batch
from bertune.tasks import FittedTask
from bertune.tasks.parts.loss import group_log_softmax, numbered


def loss(fitted: FittedTask, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed loss selected by task.loss, and the number of summed terms; outputs are [S, 1]."""
    assert batch.gold is not None
    options = fitted.options
    logits_S, grades_S = outputs[:, 0].float(), batch.gold.float()
    if options.is_listwise:
        return listwise_loss(logits_S, grades_S, batch.groups_S)
    assert not isinstance(options.max_grade, str), "`fit` resolves it"
    target_S = (grades_S / options.max_grade).clamp(max=1)
    total = binary_cross_entropy_with_logits(logits_S, target_S, reduction="sum")
    return total, torch.tensor(len(target_S), device=total.device)


def listwise_loss(logits_S: Tensor, grades_S: Tensor, groups_S: Tensor) -> tuple[Tensor, Tensor]:
    """The summed softmax cross-entropy of the queries that can be ranked, and their number.

    A query can be ranked if it has a relevant document and at least one other document in the batch. In
    prediction every document is a separate group, so the number is 0.
    """
    index_S, num_queries = numbered(groups_S)
    sums_G = grades_S.new_zeros(num_queries).index_add(0, index_S, grades_S)
    target_S = grades_S / sums_G[index_S].clamp(min=torch.finfo(torch.float32).tiny)
    total = -(target_S * group_log_softmax(logits_S, groups_S)).sum()
    return total, ((sums_G > 0) & (torch.bincount(index_S, minlength=num_queries) > 1)).sum()
