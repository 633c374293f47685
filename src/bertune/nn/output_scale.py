"""The scale of a model's single output, moved into its output layer and out of it again.

A network learns numbers from 0 to 1 whatever the unit of the data. Its saved form predicts in that unit, so
that other libraries need not know of the scale.

Dimensions: H features of the output layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

Scale = tuple[float, float]  # the number that an output of 0 stands for, and the distance to that of 1


def output_layer(hf: Any) -> str | None:
    """The name of the linear layer [1, H] that gives a Hugging Face model's output; None where none does."""
    inside = {id(module) for module in hf.base_model.modules()}
    names = [
        name
        for name, module in hf.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in inside and module.out_features == 1
    ]
    # In every family the output layer is the last one; one without a bias cannot take an offset.
    return names[-1] if names and hf.get_submodule(names[-1]).bias is not None else None


def scaled_state(hf: Any, layer: str, scale: Scale) -> dict[str, Tensor]:
    """The state of a model that gives low + width * output. The model itself stays as it is."""
    low, width = scale
    state: dict[str, Tensor] = dict(hf.state_dict())
    weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
    state[f"{layer}.weight"] = (weight.double() * width).to(weight.dtype)
    state[f"{layer}.bias"] = (bias.double() * width + low).to(bias.dtype)
    return state


def remove_scale(hf: Any, layer: str, scale: Scale) -> None:
    """Changes a model that gives low + width * output to one that gives the output alone.

    Its numbers are then of the size that bf16 and the loss are good at, however far from 0 the data is.
    """
    low, width = scale
    linear = hf.get_submodule(layer)
    with torch.no_grad():
        linear.weight.copy_(linear.weight.double() / width)
        linear.bias.copy_((linear.bias.double() - low) / width)
