"""Fold the scale of a single regression output into the output layer, and remove it again.

The network is trained on targets scaled to the range from 0 to 1. The saved model predicts in the unit of the
data, so that other libraries do not have to apply the scale.

Dimensions: H features of the output layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

Scale = tuple[
    float, float
]  # offset (the value for output 0) and factor (the change in value per unit of output)


def output_layer(hf: Any) -> str | None:
    """The name of the output layer [1, H] of a Hugging Face model, or None if there is no such layer."""
    inside = {id(module) for module in hf.base_model.modules()}
    names = [
        name
        for name, module in hf.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in inside and module.out_features == 1
    ]
    # In every family the output layer is the last one. Without a bias it cannot represent an offset.
    return names[-1] if names and hf.get_submodule(names[-1]).bias is not None else None


def scaled_state(hf: Any, layer: str, scale: Scale) -> dict[str, Tensor]:
    """The state dict of a model that outputs low + width * output. The model itself is not changed."""
    low, width = scale
    state: dict[str, Tensor] = dict(hf.state_dict())
    weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
    state[f"{layer}.weight"] = (weight.double() * width).to(weight.dtype)
    state[f"{layer}.bias"] = (bias.double() * width + low).to(bias.dtype)
    return state


def remove_scale(hf: Any, layer: str, scale: Scale) -> None:
    """Change a model that outputs low + width * output to one that outputs the unscaled value.

    The unscaled values suit bf16 and the loss, however far the data is from 0.
    """
    low, width = scale
    linear = hf.get_submodule(layer)
    with torch.no_grad():
        linear.weight.copy_(linear.weight.double() / width)
        linear.bias.copy_((linear.bias.double() - low) / width)
