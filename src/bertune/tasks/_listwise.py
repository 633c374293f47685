"""Owns learning from a query's documents together: the loss, and which documents of a long list are taken."""

import numpy as np
import torch
from torch import Tensor

from bertune.nn.groups import group_log_softmax, numbered
from bertune.text.sequences import Sequence


def listwise_loss(logits_S: Tensor, grades_S: Tensor, groups_S: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax cross-entropy summed over the queries with something to rank, and their number.

    That is a relevant document and another; with predictions each document stands alone, so there is none.
    """
    index_S, num_queries = numbered(groups_S)
    sums_G = grades_S.new_zeros(num_queries).index_add(0, index_S, grades_S)
    target_S = grades_S / sums_G[index_S].clamp(min=torch.finfo(torch.float32).tiny)
    total = -(target_S * group_log_softmax(logits_S, groups_S)).sum()
    return total, ((sums_G > 0) & (torch.bincount(index_S, minlength=num_queries) > 1)).sum()


def drawn(sequences: list[Sequence], most: int, random: np.random.Generator) -> list[Sequence]:
    """At most so many sequences of a query, at random, one of them relevant, in their order."""
    if len(sequences) <= most:
        return sequences
    relevant = [i for i, s in enumerate(sequences) if isinstance(s.gold, float) and s.gold > 0]
    sure = int(random.choice(relevant))
    others = random.permutation([i for i in range(len(sequences)) if i != sure])[: most - 1]
    return [sequences[i] for i in sorted([sure, *others.tolist()])]
