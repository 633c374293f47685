"""Owns the softmax of short rows in bfloat16 on a CPU, forward and back.

torch's kernels fall back to one element at a time in rows that are no whole number of vectors: 2 to 8 times
slower up to 32 positions, which is most sentences. The twin is `torch.softmax`, which too computes in fp32
and rounds at the end.
"""

import torch
from torch import Tensor

_VECTOR = 16  # elements of a register in fp32
_LONG = 64  # from here on torch's own kernel wins, backward from half of it on


def softmax(scores: Tensor) -> Tensor:
    """The softmax over the last dimension, in the dtype of `scores`."""
    length = scores.shape[-1]
    if not _is_slow(scores) or length >= _LONG:
        return torch.softmax(scores, -1)
    if length >= _VECTOR:
        return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)
    weights = scores.float()
    weights.sub_(weights.amax(-1, keepdim=True)).exp_()
    return weights.div_(weights.sum(-1, keepdim=True)).to(scores.dtype)


def softmax_backward(gradient: Tensor, weights: Tensor) -> Tensor:
    """The gradient of the scores, from that of the weights that `softmax` gave."""
    length = weights.shape[-1]
    if not _is_slow(weights) or length >= _LONG // 2:
        return torch._softmax_backward_data(gradient, weights, -1, weights.dtype)
    exact = weights.float()
    if length >= _VECTOR:
        found = torch._softmax_backward_data(gradient.float(), exact, -1, torch.float32)
    else:
        found = gradient.float().mul_(exact)
        found.addcmul_(exact, found.sum(-1, keepdim=True), value=-1)
    return found.to(weights.dtype)


def _is_slow(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"
