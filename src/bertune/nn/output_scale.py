"""Fold a scale of the outputs into the output layer of a saved model, and remove it again.

A regression is trained on targets scaled to the range from 0 to 1, and the outputs of a calibrated model are
divided by temperatures. The saved model has both in its output layer, so that other libraries do not have to
apply them.

Dimensions: C outputs, H features of the output layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bertune.metrics.calibration import OutputScale


def output_layer(hf: Any, scale: OutputScale) -> str | None:
    """The name of the output layer [C, H] of a Hugging Face model, or None if it cannot hold the scale."""
    inside = {id(module) for module in hf.base_model.modules()}
    names = [
        name
        for name, module in hf.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in inside
    ]
    if not names:
        return None
    layer = hf.get_submodule(names[-1])  # in every family the output layer is the last one
    fits = len(scale.factors) in (1, layer.out_features)
    return names[-1] if fits and (scale.offset == 0 or layer.bias is not None) else None


def scaled_state(hf: Any, layer: str, scale: OutputScale) -> dict[str, Tensor]:
    """The state dict of a model that outputs offset + factor * output. The model itself is not changed."""
    state: dict[str, Tensor] = dict(hf.state_dict())
    weight, bias = state[f"{layer}.weight"], state.get(f"{layer}.bias")
    factors_C = _factors(scale, weight)
    state[f"{layer}.weight"] = (weight.double() * factors_C[:, None]).to(weight.dtype)
    if bias is not None:
        state[f"{layer}.bias"] = (bias.double() * factors_C + scale.offset).to(bias.dtype)
    return state


def remove_scale(hf: Any, layer: str, scale: OutputScale) -> None:
    """Change a model that outputs offset + factor * output to one that outputs the unscaled value.

    The unscaled values suit bf16 and the loss, however far the data is from 0.
    """
    linear = hf.get_submodule(layer)
    with torch.no_grad():
        factors_C = _factors(scale, linear.weight)
        linear.weight.copy_(linear.weight.double() / factors_C[:, None])
        if linear.bias is not None:
            linear.bias.copy_((linear.bias.double() - scale.offset) / factors_C)


def _factors(scale: OutputScale, weight: Tensor) -> Tensor:
    """The factors [C], or [1] for all outputs, in fp64."""
    return torch.tensor(scale.factors, dtype=torch.float64, device=weight.device)
