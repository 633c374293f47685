"""A custom head: dropout and one linear layer on the hidden state of [CLS], without a pooler.

    bertune train reviews.csv model.name=minilm model.head=examples/cls_linear_head.py
    bertune predict runs/reviews new.csv model.head=examples/cls_linear_head.py

A head file defines HEAD(hidden_size, num_outputs, dropout), a torch module. This head is also built in as
model.head=first_token; copy this file as a starting point for your own.
"""

import torch
from torch import Tensor, nn

from bertune.nn.batch import Batch


class ClsLinear(nn.Module):
    """Computes logits [sequences, num_outputs] from the last hidden states of a batch."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, num_outputs)

    def forward(self, hidden_TH: Tensor, batch: Batch) -> Tensor:
        """`hidden_TH` [tokens, hidden_size] has the tokens of all sequences end to end, without padding."""
        first_S = torch.cumsum(batch.lengths_S, 0) - batch.lengths_S
        cls_SH = hidden_TH[first_S.to(hidden_TH.device)]
        logits: Tensor = self.classifier(self.dropout(cls_SH))
        return logits


HEAD = ClsLinear
