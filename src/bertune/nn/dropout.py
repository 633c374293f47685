"""Owns dropout masks: drawn sixteen bits an element from a fast generator, seeded, the same on every repeat.

torch draws a mask one element at a time with a generator made for other ends; on a CPU that is a tenth of a
step on short texts and a third on long ones. Its twin in distribution is `torch.nn.functional.dropout`.
"""

import numpy as np
import torch
from torch import Tensor

# A drop probability is rounded to 1/65536, and the kept share with it, so the mean stays exact.
_BITS = 16


class Dropout:
    """The masks of one forward pass, or none at all where the model is not in training."""

    def __init__(self, is_training: bool) -> None:
        self.is_training = is_training
        # One draw from torch's generator decides all masks, so that `torch.manual_seed` governs them too.
        self._bits = np.random.SFC64(int(torch.randint(2**62, ()))) if is_training else None

    def mask(self, shape: tuple[int, ...], p: float, like: Tensor) -> "Mask | None":
        """A mask of zeros and ones with the dtype and device of `like`; None where nothing is dropped."""
        if self._bits is None or p == 0.0:
            return None
        if like.device.type != "cpu":
            return Mask(
                torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(1 - p), 1 / (1 - p)
            )
        count = int(np.prod(shape))
        words = self._bits.random_raw(-(-count * _BITS // 64))
        drawn = torch.from_numpy(words.view(np.int16))[:count].view(shape)
        num_dropped = min(round(p * 2**_BITS), 2**_BITS - 1)
        kept = torch.empty(shape, dtype=like.dtype)
        torch.ge(drawn, num_dropped - 2 ** (_BITS - 1), out=kept)
        return Mask(kept, 2**_BITS / (2**_BITS - num_dropped))

    def __call__(self, x: Tensor, p: float) -> Tensor:
        """Dropout of a tensor: each element zero with probability `p`, else divided by the kept share."""
        mask = self.mask(tuple(x.shape), p, x)
        return x if mask is None else (x * mask.kept).mul(mask.scale)

    def add(self, residual: Tensor, x: Tensor, p: float) -> Tensor:
        """`residual` plus the dropout of `x`, in the dtype of `residual`."""
        mask = self.mask(tuple(x.shape), p, x)
        if mask is not None:
            return torch.add(residual, x * mask.kept, alpha=mask.scale)
        # A cast and a sum of one dtype are faster than a sum of two.
        return residual + x if x.dtype == residual.dtype else x.to(residual.dtype).add_(residual)


class Mask:
    """Which elements are kept, and what the kept ones are multiplied by."""

    __slots__ = ("kept", "scale")

    def __init__(self, kept: Tensor, scale: float) -> None:
        self.kept = kept  # zeros and ones
        self.scale = scale
