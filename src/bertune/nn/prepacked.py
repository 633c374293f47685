"""Linear layers with prepacked weights, for repeated inference with the same weights.

oneDNN reorders a plain weight for every product, which takes 5 to 15% of the time at the sizes of an
encoder. The reference implementation is `torch.nn.functional.linear`.
"""

from functools import cache

import torch
from torch import Tensor

_ROWS = 2048  # input rows for which the layout is optimized; other numbers work too


def can_prepack(weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether this build of torch can prepack a weight: bfloat16 on a CPU only."""
    return weight.device.type == "cpu" and dtype == torch.bfloat16 and _has_operations()


@cache
def _has_operations() -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def prepacked(weight: Tensor) -> Tensor:
    """A copy of a weight [out, in] in an opaque layout for `prepacked_linear`."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return packed


def prepacked_linear(x: Tensor, packed: Tensor, bias: Tensor) -> Tensor:
    """The linear layer of `x` [T, in] with a prepacked weight and `bias` [out]."""
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return outputs
