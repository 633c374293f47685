"""Owns the word-embedding lookup in training: its gradient is written into one reused buffer.

Autograd's own backward allocates and zero-fills a fresh [vocabulary, hidden] tensor at every pass; it is the
fresh memory pages that cost. Here the same pages serve every step. The gradient is the same; the twin is
`torch.nn.functional.embedding`.
"""

from typing import Any

import torch
from torch import Tensor, nn


class RowGradients:
    """The gradient buffer of one embedding table."""

    def __init__(self, table: nn.Embedding) -> None:
        self._weight = table.weight
        self._padding = table.padding_idx  # a row that never learns, even where a text spells it out
        self._buffer: Tensor | None = None

    def add(self, ids_T: Tensor, gradient_TH: Tensor) -> None:
        """Adds rows to the table's `.grad`, which starts from zero when it was forgotten since."""
        if self._buffer is None:
            self._buffer = torch.zeros_like(self._weight)
        if self._weight.grad is not self._buffer:
            # A new step. The pages are there already, so zeroing all of it is cheap and leaves nothing
            # behind; what autograd itself wrote before (a tied output layer) is kept.
            if self._weight.grad is None:
                self._buffer.zero_()
            else:
                self._buffer.copy_(self._weight.grad)
            self._weight.grad = self._buffer
        if self._padding is not None:
            gradient_TH = gradient_TH.masked_fill((ids_T == self._padding)[:, None], 0.0)
        self._buffer.index_add_(0, ids_T, gradient_TH.to(self._buffer.dtype))


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids_T: Tensor, rows: RowGradients) -> Tensor:
        ctx.ids_T, ctx.rows = ids_T, rows
        return weight[ids_T]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        ctx.rows.add(ctx.ids_T, gradients[0])
        return None, None, None


def lookup(table: nn.Embedding, ids_T: Tensor, rows: RowGradients) -> Tensor:
    """Rows [T, H] of the table; their gradient goes to `table.weight.grad` through `rows`."""
    found: Tensor = _Lookup.apply(table.weight, ids_T, rows)  # type: ignore[no-untyped-call]
    return found
