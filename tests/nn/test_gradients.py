"""Gradients in reused buffers agree with plain autograd at every step."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from bertune.nn.gradients import Gradients, lookup

LookUp = Callable[[nn.Embedding, Tensor], Tensor]
Loss = Callable[[nn.Embedding, LookUp, Tensor], Tensor]

STEPS = [[[3, 5, 5, 0]], [[7], [3, 3, 8]], [[1, 0, 2], [2], [9, 9]], [[4]]]  # ids by step and micro-batch


def table(padding: int | None = 0) -> nn.Embedding:
    torch.manual_seed(1)
    return nn.Embedding(11, 6, padding_idx=padding)


def through(gradients: Gradients) -> LookUp:
    return lambda table, ids_T: lookup(table, ids_T, gradients)


def plain(table: nn.Embedding, ids_T: Tensor) -> Tensor:
    return embedding(ids_T, table.weight, table.padding_idx)


def weighted(hidden_TH: Tensor) -> Tensor:
    """A loss with a different gradient for every row."""
    return (hidden_TH * torch.arange(1.0, 1 + hidden_TH.numel()).view_as(hidden_TH)).sum()


def of_rows(table: nn.Embedding, look_up: LookUp, ids_T: Tensor) -> Tensor:
    return weighted(look_up(table, ids_T))


def of_a_tied_output_layer(table: nn.Embedding, look_up: LookUp, ids_T: Tensor) -> Tensor:
    return weighted(look_up(table, ids_T) @ table.weight.T)


def gradients_by_step(own: nn.Embedding, look_up: LookUp, loss: Loss, forget: bool = True) -> list[Tensor]:
    found = []
    for micro_batches in STEPS:
        own.zero_grad(set_to_none=forget)
        for ids in micro_batches:
            loss(own, look_up, torch.tensor(ids)).backward()
        assert own.weight.grad is not None
        found.append(own.weight.grad.clone())
    return found


@pytest.mark.parametrize("loss", [of_rows, of_a_tied_output_layer])
@pytest.mark.parametrize("padding", [0, None])
@pytest.mark.parametrize("forget", [True, False], ids=["grad is None", "grad is zero"])
def test_the_gradient_of_every_step_equals_that_of_torch(
    forget: bool, padding: int | None, loss: Loss
) -> None:
    found = gradients_by_step(table(padding), through(Gradients()), loss, forget)
    expected = gradients_by_step(table(padding), plain, loss, forget)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gathered_rows_equal_those_of_the_table() -> None:
    own = table()
    ids_T = torch.tensor([4, 0, 4, 10])
    assert torch.equal(lookup(own, ids_T, Gradients()), own.weight[ids_T])


@pytest.mark.parametrize("first", ["torch", "lookup"])
def test_a_gradient_from_autograd_is_added_in_either_order(first: str) -> None:
    found = []
    for look_up in (through(Gradients()), plain):
        own = table()
        for ids in ([1, 2], [6]):  # nothing of the first step may remain in the second
            own.zero_grad()
            losses = [
                lambda own=own: torch.square(own.weight).sum(),
                lambda own=own, ids=ids, look_up=look_up: weighted(look_up(own, torch.tensor(ids))),
            ]
            for loss in losses if first == "torch" else losses[::-1]:
                loss().backward()
        found.append(own.weight.grad)
    torch.testing.assert_close(found[0], found[1])


def test_a_gradient_from_autograd_is_cleared_at_the_next_step() -> None:
    own, rows = table(), through(Gradients())
    of_rows(own, rows, torch.tensor([7])).backward()
    own.zero_grad()
    torch.square(own.weight).sum().backward()
    own.zero_grad()
    of_rows(own, rows, torch.tensor([4])).backward()
    assert own.weight.grad is not None
    assert own.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [4]


def test_the_first_gradient_after_a_reset_replaces_and_later_ones_add() -> None:
    parameter, gradients = nn.Parameter(torch.ones(3)), Gradients()
    for _ in range(2):
        parameter.grad = None
        gradients.add(parameter, torch.tensor([1.0, 2.0, 3.0]))
        gradients.add(parameter, torch.tensor([1.0, 0.0, 1.0]))
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [2.0, 2.0, 4.0]


def test_gradients_in_bf16_are_summed_in_the_dtype_of_the_parameter() -> None:
    parameter, gradients = nn.Parameter(torch.zeros(1)), Gradients()
    for part in (256.0, 1.0):  # bf16 cannot represent 257
        gradients.add(parameter, torch.tensor([part], dtype=torch.bfloat16))
    assert parameter.grad is not None
    assert parameter.grad.dtype == torch.float32
    assert parameter.grad.item() == 257.0


def test_every_parameter_has_its_own_gradient() -> None:
    first, second, gradients = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2)), Gradients()
    gradients.add(first, torch.tensor([1.0, 2.0]))
    gradients.add(second, torch.tensor([5.0, 6.0]))
    assert first.grad is not None
    assert first.grad.tolist() == [1.0, 2.0]


def test_gradient_buffers_are_reused_between_steps() -> None:
    own, rows = table(), through(Gradients())
    addresses = set()
    for _ in range(3):
        own.zero_grad()
        of_rows(own, rows, torch.tensor([4])).backward()
        assert own.weight.grad is not None
        addresses.add(own.weight.grad.data_ptr())
    assert len(addresses) == 1


def test_a_copied_model_shares_no_gradients() -> None:
    gradients = Gradients()
    own = nn.Parameter(torch.ones(2))
    gradients.add(own, torch.tensor([1.0, 2.0]))
    other, others = copy.deepcopy((own, gradients))
    other.grad = None
    others.add(other, torch.tensor([7.0, 7.0]))
    assert own.grad is not None
    assert own.grad.tolist() == [1.0, 2.0]


def test_a_frozen_table_gets_no_gradient() -> None:
    own = table()
    own.weight.requires_grad_(False)
    hidden_TH = lookup(own, torch.tensor([1, 2]), Gradients())
    assert not hidden_TH.requires_grad
