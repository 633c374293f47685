"""Owns the weights as products want them: cast to the dtype of multiplication once a step, stacked where they
share their input.

Autocast casts every weight at every forward pass and every gradient back. Here a copy is made anew only when
the optimizer has changed the parameter. The twin is `torch.nn.functional.linear` under autocast.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from bertune.nn.gradients import Gradients
from bertune.nn.prepacked import can_prepack, prepacked, prepacked_linear


@dataclass
class _Copy:
    weight: Tensor
    bias: Tensor
    made_of: tuple[tuple[int, int], ...]  # address and version of each parameter; none: it is the parameter
    packed: Tensor | None = None  # the weight as repeated forward passes want it


class Weights:
    """Compute copies of linear layers, kept as long as their parameters do not change."""

    def __init__(self, gradients: Gradients) -> None:
        self._copies: dict[tuple[int, ...], _Copy] = {}
        self._gradients = gradients

    def __call__(self, x: Tensor, *layers: nn.Linear) -> Tensor:
        """The outputs of linear layers over the same `x` [T, in], side by side [T, out], in its dtype."""
        copy = self._current(x.dtype, layers)
        if torch.is_grad_enabled():
            anchor = layers[0].weight  # makes the output require a gradient where `x` does not
            outputs: Tensor = _Linear.apply(x, anchor, copy.weight, copy.bias, layers, self._gradients)  # type: ignore[no-untyped-call]
            return outputs
        if not copy.made_of or not can_prepack(copy.weight):
            return linear(x, copy.weight, copy.bias)
        if copy.packed is None:
            copy.packed = prepacked(copy.weight)
        return prepacked_linear(x, copy.packed, copy.bias)

    def cast(self, dtype: torch.dtype, layer: nn.Linear) -> tuple[Tensor, Tensor]:
        """The weight [out, in] and bias [out] of a layer in this dtype, without a graph; only to be read."""
        copy = self._current(dtype, (layer,))
        return copy.weight, copy.bias

    def _current(self, dtype: torch.dtype, layers: tuple[nn.Linear, ...]) -> _Copy:
        like = layers[0].weight
        if len(layers) == 1 and like.dtype == dtype:
            return _Copy(like.detach(), layers[0].bias.detach(), ())
        key = tuple(id(layer) for layer in layers)
        made_of = tuple((p.data_ptr(), p._version) for layer in layers for p in (layer.weight, layer.bias))
        copy = self._copies.get(key)
        # A copy made in inference mode could not serve training afterwards.
        with torch.inference_mode(False), torch.no_grad():
            if copy is None or copy.weight.dtype != dtype or copy.weight.device != like.device:
                rows = sum(layer.out_features for layer in layers)
                weight = torch.empty((rows, like.shape[1]), dtype=dtype, device=like.device)
                copy = self._copies[key] = _Copy(weight, torch.empty_like(weight[:, 0]), ())
            if copy.made_of != made_of:
                _stack([layer.weight for layer in layers], copy.weight)
                _stack([layer.bias for layer in layers], copy.bias)
                copy.made_of, copy.packed = made_of, None
        return copy


def _stack(parts: list[Tensor], into: Tensor) -> None:
    for place, part in zip(torch.split(into, [len(part) for part in parts]), parts, strict=True):
        place.copy_(part)


class _Linear(torch.autograd.Function):
    """A linear layer over compute copies, whose gradients go to the parameters they were made of."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        _: Tensor,
        weight: Tensor,
        bias: Tensor,
        layers: tuple[nn.Linear, ...],
        gradients: Gradients,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layers, ctx.gradients = layers, gradients
        return linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0]
        if ctx.needs_input_grad[1]:
            sizes = [layer.out_features for layer in ctx.layers]
            for_weights = torch.split(gradient.t() @ x, sizes)
            for_biases = torch.split(gradient.sum(0), sizes)
            for layer, for_weight, for_bias in zip(ctx.layers, for_weights, for_biases, strict=True):
                ctx.gradients.add(layer.weight, for_weight)
                ctx.gradients.add(layer.bias, for_bias)
        for_x = gradient @ weight if ctx.needs_input_grad[0] else None
        return for_x, None, None, None, None, None
