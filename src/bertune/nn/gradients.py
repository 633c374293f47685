"""Owns the gradients of the large parameters: each is written into one buffer, kept from step to step.

Autograd allocates gradients anew at every step, and for an embedding zero-fills all of its rows; it is the
fresh memory pages that cost. Here the same pages serve every step. The twins are `torch.nn.functional.linear`
and `torch.nn.functional.embedding` under plain autograd.
"""

from typing import Any

import torch
from torch import Tensor


class Gradients:
    """The buffers behind `.grad` of some parameters. Forgetting `.grad` (setting it to None) keeps them."""

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def add(self, parameter: Tensor, gradient: Tensor) -> None:
        """Adds to the parameter's `.grad`, or starts it where it was forgotten since."""
        if parameter.grad is None:
            parameter.grad = self._buffer(parameter).copy_(gradient)
        else:
            parameter.grad.add_(gradient)

    def add_rows(self, table: Tensor, ids_T: Tensor, gradient_TH: Tensor) -> None:
        """Adds rows to the table's `.grad`; all others are zero where it was forgotten since."""
        if table.grad is None:
            table.grad = self._buffer(table).zero_()
        table.grad.index_add_(0, ids_T, gradient_TH.to(table.dtype))

    def _buffer(self, parameter: Tensor) -> Tensor:
        buffer = self._buffers.get(id(parameter))
        if buffer is None or buffer.device != parameter.device:
            buffer = self._buffers[id(parameter)] = torch.empty_like(parameter)
        return buffer

    def __deepcopy__(self, _: dict[int, Any]) -> "Gradients":
        return Gradients()  # a copied model has parameters of its own


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids_T: Tensor, padding: int | None, gradients: Gradients) -> Tensor:
        ctx.save_for_backward(ids_T)
        ctx.weight, ctx.padding, ctx.gradients = weight, padding, gradients
        return weight[ids_T]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None, None]:
        (ids_T,) = ctx.saved_tensors
        gradient_TH = gradients[0]
        if ctx.padding is not None:  # a row that never learns, even where a text spells it out
            gradient_TH = gradient_TH.masked_fill((ids_T == ctx.padding)[:, None], 0.0)
        ctx.gradients.add_rows(ctx.weight, ids_T, gradient_TH)
        return None, None, None, None


def lookup(table: Any, ids_T: Tensor, gradients: Gradients) -> Tensor:
    """Rows [T, H] of an embedding table; their gradient goes to `table.weight.grad` through `gradients`."""
    if not (torch.is_grad_enabled() and table.weight.requires_grad):
        plain: Tensor = table.weight[ids_T]
        return plain
    found: Tensor = _Lookup.apply(table.weight, ids_T, table.padding_idx, gradients)  # type: ignore[no-untyped-call]
    return found
