"""Owns products with weights laid out for the processor once, for passes that repeat on the same weights.

oneDNN rearranges a plain weight at every product; 5 to 15 % of the time at an encoder's sizes. The twin is
`torch.nn.functional.linear`.
"""

from functools import cache

import torch
from torch import Tensor

_ROWS = 2048  # of the input that the layout is made for; others are right too


def can_prepack(weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether this build of torch can for products of a weight in this dtype: bfloat16 on a CPU."""
    return weight.device.type == "cpu" and dtype == torch.bfloat16 and _has_operations()


@cache
def _has_operations() -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def prepacked(weight: Tensor) -> Tensor:
    """An opaque copy of a weight [out, in] for `prepacked_linear`."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return packed


def prepacked_linear(x: Tensor, packed: Tensor, bias: Tensor) -> Tensor:
    """`x` [T, in] times the packed weight, plus `bias` [out]."""
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return outputs
