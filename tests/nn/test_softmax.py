"""The softmax of short rows agrees with torch, forward and backward."""

import pytest
import torch
from torch import Tensor

from bertune.nn.softmax import softmax, softmax_backward

LENGTHS = [1, 5, 8, 15, 16, 24, 31, 32, 40, 64, 70]
DTYPES = [torch.float32, torch.bfloat16]


def scores(length: int, dtype: torch.dtype) -> Tensor:
    torch.manual_seed(length)
    drawn = 20 * torch.randn(3, 4, length)
    drawn[0, 0, length // 2 + 1 :] = -30000.0  # like padding
    drawn[1, 1] += 500  # the exponentials overflow
    return drawn.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_fast_softmax_equals_the_rounded_softmax(length: int, dtype: torch.dtype) -> None:
    found = softmax(scores(length, dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.softmax(scores(length, dtype).double(), -1).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_its_gradient_equals_that_of_autograd(length: int, dtype: torch.dtype) -> None:
    exact = scores(length, dtype).double().requires_grad_()
    gradient = torch.randn(exact.shape).to(dtype)
    weights = torch.softmax(exact, -1)
    weights.backward(gradient.double())
    found = softmax_backward(gradient, weights.detach().to(dtype))
    assert found.dtype == dtype
    tolerances = {"atol": 2e-2, "rtol": 2e-2} if dtype == torch.bfloat16 else {"atol": 1e-6, "rtol": 1e-5}
    torch.testing.assert_close(found, exact.grad.to(dtype), **tolerances)
