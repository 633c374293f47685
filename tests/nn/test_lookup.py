"""The word-embedding lookup and its gradient are those of torch's own embedding, step after step."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from bertune.nn.lookup import RowGradients, lookup

STEPS = [[[3, 5, 5, 0]], [[7], [3, 3, 8]], [[1, 0, 2], [2], [9, 9]], [[4]]]  # micro-batches of ids, by step


def table(padding: int | None = 0) -> nn.Embedding:
    torch.manual_seed(1)
    return nn.Embedding(11, 6, padding_idx=padding)


def weighted(hidden_TH: Tensor) -> Tensor:
    """A loss under which every row has another gradient."""
    return (hidden_TH * torch.arange(1.0, 1 + hidden_TH.numel()).view_as(hidden_TH)).sum()


def gradients_by_step(found: nn.Embedding, look_up: object, forget: bool = True) -> list[Tensor]:
    gradients = []
    for micro_batches in STEPS:
        found.zero_grad(set_to_none=forget)
        for ids in micro_batches:
            weighted(look_up(torch.tensor(ids))).backward()  # type: ignore[operator]
        assert found.weight.grad is not None
        gradients.append(found.weight.grad.clone())
    return gradients


@pytest.mark.parametrize("padding", [0, None])
@pytest.mark.parametrize("forget", [True, False], ids=["grad is None", "grad is zero"])
def test_the_gradient_of_every_step_is_that_of_torch(padding: int | None, forget: bool) -> None:
    own, twin = table(padding), table(padding)
    rows = RowGradients(own)
    found = gradients_by_step(own, lambda ids: lookup(own, ids, rows), forget)
    expected = gradients_by_step(twin, lambda ids: embedding(ids, twin.weight, padding), forget)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_the_rows_are_those_of_the_table() -> None:
    own = table()
    ids_T = torch.tensor([4, 0, 4, 10])
    assert torch.equal(lookup(own, ids_T, RowGradients(own)), own.weight[ids_T])


def test_a_table_that_is_an_output_layer_too_gets_both_gradients_at_every_step() -> None:
    own, twin = table(), table()
    rows = RowGradients(own)

    def tied(weight: Tensor, hidden_TH: Tensor) -> Tensor:
        return hidden_TH @ weight.T

    found = gradients_by_step(own, lambda ids: tied(own.weight, lookup(own, ids, rows)))
    expected = gradients_by_step(twin, lambda ids: tied(twin.weight, embedding(ids, twin.weight, 0)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_that_torch_left_in_another_way_is_not_kept_for_the_next_step() -> None:
    own, twin = table(), table()
    rows = RowGradients(own)
    for ids in ([1, 2], [6]):
        for one in (own, twin):
            one.zero_grad()
        torch.square(own.weight).sum().backward()
        torch.square(twin.weight).sum().backward()
        weighted(lookup(own, torch.tensor(ids), rows)).backward()
        weighted(embedding(torch.tensor(ids), twin.weight, 0)).backward()
    for one in (own, twin):
        one.zero_grad()
    weighted(lookup(own, torch.tensor([4]), rows)).backward()
    weighted(embedding(torch.tensor([4]), twin.weight, 0)).backward()
    torch.testing.assert_close(own.weight.grad, twin.weight.grad)
