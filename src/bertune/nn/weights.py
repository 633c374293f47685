"""Compute copies of weights: cast to the compute dtype once per step, stacked if layers share an input.

Autocast casts every weight in every forward pass, and every gradient back. Here a copy is refreshed only
after the optimizer has changed the parameter. The reference implementation is `torch.nn.functional.linear`
under autocast.
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
    bias: Tensor
    weight: Tensor | None  # plain weight; None if packed
    packed: Tensor | None  # prepacked weight for inference; None if plain
    made_of: tuple[tuple[int, int], ...]  # address and version of each parameter


class Weights:
    """Compute copies of linear layers, kept until their parameters change."""

    def __init__(self, gradients: Gradients) -> None:
        self._copies: dict[tuple[int, ...], _Copy] = {}
        self._gradients = gradients

    def __call__(self, x: Tensor, *layers: nn.Linear) -> Tensor:
        """Concatenated outputs [T, out] of linear layers with the same input `x` [T, in], in its dtype."""
        has_graph = torch.is_grad_enabled()
        if not has_graph and can_prepack(layers[0].weight, x.dtype):
            copy = self._copy(x.dtype, layers, is_packed=True)
            assert copy.packed is not None
            return prepacked_linear(x, copy.packed, copy.bias)
        weight, bias = self.cast(x.dtype, *layers)
        if not has_graph:
            return linear(x, weight, bias)
        anchor = layers[0].weight  # makes the output require a gradient where `x` does not
        outputs: Tensor = _Linear.apply(x, anchor, weight, bias, layers, self._gradients)  # type: ignore[no-untyped-call]
        return outputs

    def cast(self, dtype: torch.dtype, *layers: nn.Linear) -> tuple[Tensor, Tensor]:
        """Stacked weights [out, in] and biases [out] of layers, without a graph. Must not be modified."""
        if len(layers) == 1 and layers[0].weight.dtype == dtype:
            return layers[0].weight.detach(), layers[0].bias.detach()
        copy = self._copy(dtype, layers, is_packed=False)
        assert copy.weight is not None
        return copy.weight, copy.bias

    def _copy(self, dtype: torch.dtype, layers: tuple[nn.Linear, ...], is_packed: bool) -> _Copy:
        key = tuple(id(layer) for layer in layers)
        made_of = tuple((p.data_ptr(), p._version) for layer in layers for p in (layer.weight, layer.bias))
        copy, like = self._copies.get(key), layers[0].weight
        if copy is not None and (copy.bias.dtype, copy.bias.device) != (dtype, like.device):
            copy = None
        if copy is not None and copy.made_of == made_of and (copy.packed is not None) == is_packed:
            return copy
        # A copy made in inference mode could not be used in training.
        with torch.inference_mode(False), torch.no_grad():
            weight = None if copy is None else copy.weight
            if weight is None:
                rows = sum(layer.out_features for layer in layers)
                weight = torch.empty((rows, like.shape[1]), dtype=dtype, device=like.device)
            bias = torch.empty_like(weight[:, 0]) if copy is None else copy.bias
            _stack([layer.weight for layer in layers], weight)
            _stack([layer.bias for layer in layers], bias)
            packed = prepacked(weight) if is_packed else None
        self._copies[key] = copy = _Copy(bias, None if is_packed else weight, packed, made_of)
        return copy


def _stack(parts: list[Tensor], into: Tensor) -> None:
    for place, part in zip(torch.split(into, [len(part) for part in parts]), parts, strict=True):
        place.copy_(part)


class _Linear(torch.autograd.Function):
    """A linear layer over compute copies that adds gradients to the original parameters."""

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
