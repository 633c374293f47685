"""Gradient buffers of large parameters that are reused from step to step.

Autograd allocates gradients at every step, and for an embedding it zero-fills all rows. The fresh memory
pages are expensive; here the same pages are reused. The reference implementations are
`torch.nn.functional.linear` and `torch.nn.functional.embedding` under plain autograd.
"""

from typing import Any

import torch
from torch import Tensor


class Gradients:
    """The buffers behind `.grad` of some parameters. Setting `.grad` to None does not free them."""

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def add(self, parameter: Tensor, gradient: Tensor) -> None:
        """Add to the `.grad` of a parameter, or set it if it is None."""
        if parameter.grad is None:
            parameter.grad = self._buffer(parameter).copy_(gradient)
        else:
            parameter.grad.add_(gradient)

    def add_rows(self, table: Tensor, ids_T: Tensor, gradient_TH: Tensor) -> None:
        """Add rows to the `.grad` of an embedding table, which starts at zero if it is None."""
        if table.grad is None:
            table.grad = self._buffer(table).zero_()
        table.grad.index_add_(0, ids_T, gradient_TH.to(table.dtype))

    def _buffer(self, parameter: Tensor) -> Tensor:
        buffer = self._buffers.get(id(parameter))
        if buffer is None or buffer.device != parameter.device:
            buffer = self._buffers[id(parameter)] = torch.empty_like(parameter)
        return buffer

    def __deepcopy__(self, _: dict[int, Any]) -> "Gradients":
        return Gradients()  # a copied model has its own parameters


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
        if ctx.padding is not None:  # the padding row is not trained, even if it occurs in a text
            gradient_TH = gradient_TH.masked_fill((ids_T == ctx.padding)[:, None], 0.0)
        ctx.gradients.add_rows(ctx.weight, ids_T, gradient_TH)
        return None, None, None, None


def lookup(table: Any, ids_T: Tensor, gradients: Gradients) -> Tensor:
    """Look up rows [T, H] of an embedding table; `gradients` adds their gradient to `table.weight.grad`."""
    if not (torch.is_grad_enabled() and table.weight.requires_grad):
        plain: Tensor = table.weight[ids_T]
        return plain
    rows_TH: Tensor = _Lookup.apply(table.weight, ids_T, table.padding_idx, gradients)  # type: ignore[no-untyped-call]
    return rows_TH
