"""Products with kept copies agree with torch's linear layers, and the copies follow their parameters."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bertune.config import OptimizerConfig, TrainConfig
from bertune.nn.gradients import Gradients
from bertune.nn.weights import Weights
from bertune.training.optim import Optimizer

DTYPES = [torch.float32, torch.bfloat16]
OUT = (5, 3, 4)


def linears(num: int = 3) -> nn.ModuleList:
    torch.manual_seed(1)
    return nn.ModuleList([nn.Linear(7, rows) for rows in OUT[:num]])


def inputs(dtype: torch.dtype, seed: int = 2) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(11, 7).to(dtype).requires_grad_()


def plain(x: Tensor, layers: nn.ModuleList) -> Tensor:
    """The reference: each layer by itself, cast like autocast does."""
    return torch.cat([linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype)) for layer in layers], -1)


def assert_the_copy_is_current(weights: Weights, layers: nn.ModuleList, dtype: torch.dtype) -> None:
    x = inputs(dtype)
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with context():
            torch.testing.assert_close(weights(x, *layers), plain(x, layers))


@pytest.mark.parametrize("num", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_stacked_layers_give_the_outputs_of_each_layer(dtype: torch.dtype, num: int) -> None:
    layers, x = linears(num), inputs(dtype)
    found = Weights(Gradients())(x, *layers)
    assert found.dtype == dtype
    assert found.shape == (11, sum(OUT[:num]))
    torch.testing.assert_close(found, plain(x, layers))


@pytest.mark.parametrize("rows", [1, 11, 700, 3000])
def test_prepacked_weights_give_the_same_outputs_for_any_number_of_rows(rows: int) -> None:
    torch.manual_seed(4)
    layers, x, weights = (
        nn.ModuleList([nn.Linear(384, 96)]),
        torch.randn(rows, 384).bfloat16(),
        Weights(Gradients()),
    )
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(weights(x, *layers), plain(x, layers))
            layers[0].weight.mul_(-2)


@pytest.mark.parametrize("num", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_gradients_equal_those_of_plain_autograd(dtype: torch.dtype, num: int) -> None:
    own, twin, weights = linears(num), linears(num), Weights(Gradients())
    # In bf16, the reference rounds the results of the layers before it adds them.
    tolerances = {} if dtype == torch.float32 else {"atol": 0.05, "rtol": 0.02}
    for _ in range(2):  # steps with two micro-batches each
        own.zero_grad()
        twin.zero_grad()
        for seed in (3, 4):
            x, y = inputs(dtype, seed), inputs(dtype, seed)
            torch.manual_seed(seed)
            weighting = torch.randn(11, sum(OUT[:num]))
            (weights(x, *own).float() * weighting).sum().backward()
            (plain(y, twin).float() * weighting).sum().backward()
            torch.testing.assert_close(x.grad, y.grad, **tolerances)
    for one, other in zip(own.parameters(), twin.parameters(), strict=True):
        assert one.grad is not None
        assert one.grad.dtype == torch.float32
        torch.testing.assert_close(one.grad, other.grad, **tolerances)


def test_parameters_get_gradients_if_the_input_needs_none() -> None:
    own, twin = linears(), linears()
    x = inputs(torch.float32).detach()
    Weights(Gradients())(x, *own).square().sum().backward()
    plain(x, twin).square().sum().backward()
    for one, other in zip(own.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_frozen_layers_pass_gradients_through() -> None:
    layers, x, y = linears(), inputs(torch.bfloat16), inputs(torch.bfloat16)
    for parameter in layers.parameters():
        parameter.requires_grad_(False)
    Weights(Gradients())(x, *layers).sum().backward()
    plain(y, layers).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert all(parameter.grad is None for parameter in layers.parameters())


def by_hand(layers: nn.ModuleList) -> None:
    with torch.no_grad():
        layers[1].weight.mul_(1.5)


def by_hand_a_bias_alone(layers: nn.ModuleList) -> None:
    with torch.no_grad():
        layers[-1].bias.add_(1.5)


def by_an_optimizer_step(layers: nn.ModuleList) -> None:
    """The fused kernel does not increase the version counter of a parameter by itself."""
    optimizer = Optimizer(layers, TrainConfig(lr=0.1), OptimizerConfig())
    for parameter in layers.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(lr=0.1)


def by_loading_a_state(layers: nn.ModuleList) -> None:
    layers.load_state_dict({name: tensor + 1 for name, tensor in layers.state_dict().items()})


def by_assigning_a_state(layers: nn.ModuleList) -> None:
    layers.load_state_dict({n: t + 1 for n, t in layers.state_dict().items()}, assign=True)


def by_moving_to_other_memory(layers: nn.ModuleList) -> None:
    """Like `.to(device)`, which does not increase the version counter either."""
    for parameter in layers.parameters():
        parameter.data = parameter.data + 1


@pytest.mark.parametrize("num", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "change",
    [
        by_hand,
        by_hand_a_bias_alone,
        by_an_optimizer_step,
        by_loading_a_state,
        by_assigning_a_state,
        by_moving_to_other_memory,
    ],
)
def test_a_copy_is_refreshed_after_a_parameter_changes(
    change: Callable[[nn.ModuleList], None], dtype: torch.dtype, num: int
) -> None:
    layers, weights = linears(num), Weights(Gradients())
    before = weights(inputs(dtype), *layers)
    change(layers)
    assert_the_copy_is_current(weights, layers, dtype)
    assert not torch.equal(weights(inputs(dtype), *layers), before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_single_layers_are_refreshed_after_an_optimizer_step(dtype: torch.dtype) -> None:
    layers, weights = linears(1), Weights(Gradients())
    weights(inputs(dtype), *layers)
    by_an_optimizer_step(layers)
    assert_the_copy_is_current(weights, layers, dtype)


def test_each_dtype_has_its_own_copy() -> None:
    layers, weights = linears(), Weights(Gradients())
    for dtype in (torch.float32, torch.bfloat16, torch.float32, torch.bfloat16):
        assert_the_copy_is_current(weights, layers, dtype)


@pytest.mark.parametrize("other", [torch.float32, torch.bfloat16])
def test_using_another_dtype_between_forward_and_backward_does_not_change_gradients(
    other: torch.dtype,
) -> None:
    own, twin, weights = linears(), linears(), Weights(Gradients())
    x, y = inputs(torch.float32), inputs(torch.float32)
    outputs = weights(x, *own)
    with torch.no_grad():
        weights(x.to(other), *own)
    outputs.square().sum().backward()
    plain(y, twin).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_made_in_inference_can_be_used_in_training(dtype: torch.dtype) -> None:
    own, twin, weights = linears(), linears(), Weights(Gradients())
    with torch.inference_mode():
        weights(inputs(dtype), *own)
    for layers, product in ((own, lambda x: weights(x, *own)), (twin, lambda x: plain(x, twin))):
        x = inputs(dtype)
        product(x).float().sum().backward()
        by_an_optimizer_step(layers)
        assert x.grad is not None
    assert_the_copy_is_current(weights, own, dtype)
    for one, other in zip(own.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_copy_is_kept_until_a_parameter_changes() -> None:
    layers, weights = linears(), Weights(Gradients())
    x = inputs(torch.bfloat16)
    before = weights(x, *layers)
    with torch.no_grad():
        layers[0].weight.data.fill_(7.0)  # bypasses autograd
    assert torch.equal(weights(x, *layers), before)


def test_two_models_have_separate_copies() -> None:
    first, second, weights = linears(), linears(), Weights(Gradients())
    by_hand(second)
    assert_the_copy_is_current(weights, first, torch.bfloat16)
    assert_the_copy_is_current(weights, second, torch.bfloat16)
    assert_the_copy_is_current(weights, first, torch.bfloat16)


def test_layers_of_equal_shape_keep_separate_weights() -> None:
    first, second, weights = linears(), linears(), Weights(Gradients())
    by_hand(second)
    x, y = inputs(torch.bfloat16), inputs(torch.bfloat16)
    (weights(x, *first).square().sum() + weights(x, *second).sum()).backward()
    (plain(y, first).square().sum() + plain(y, second).sum()).backward()
    torch.testing.assert_close(x.grad, y.grad, atol=0.05, rtol=0.02)
