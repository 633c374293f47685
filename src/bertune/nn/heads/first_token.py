"""A minimal head: dropout and a linear layer on the hidden state of the first token, without a pooler."""

import torch
from torch import Tensor, nn

from bertune.nn.batch import Batch


class FirstToken(nn.Module):
    """Outputs [S, num_outputs] from the hidden state of the first token ([CLS]) of each sequence."""

    def __init__(self, hidden_size: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, num_outputs)

    def forward(self, hidden_TH: Tensor, batch: Batch) -> Tensor:
        first_S = torch.cumsum(batch.lengths_S, 0) - batch.lengths_S
        first_SH = hidden_TH[first_S.to(hidden_TH.device)]
        logits: Tensor = self.classifier(self.dropout(first_SH))
        return logits


HEAD = FirstToken
