"""Operations over the sequences of an example agree with a loop over the examples."""

import pytest
import torch

from bertune.nn.standard_heads import padded_sums
from bertune.tasks.parts.loss import group_log_softmax, group_mean, numbered

GROUPS = torch.tensor([7, 2, 7, 7, 11, 2])


def test_groups_are_numbered_in_order() -> None:
    index, count = numbered(GROUPS)
    assert (index.tolist(), count) == ([1, 0, 1, 1, 2, 0], 3)


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_means_and_gradients_equal_those_of_each_group(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found = group_mean(values, GROUPS)
    expected = torch.stack([values[g == GROUPS].mean(0) for g in (2, 7, 11)])
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda v: group_mean(v, GROUPS), (values,))


def test_probabilities_are_a_softmax_within_each_group_even_for_extreme_scores() -> None:
    scores = torch.tensor([900.0, -900.0, 0.0, 899.0, 5.0, -901.0], dtype=torch.float64, requires_grad=True)
    found = group_log_softmax(scores, GROUPS)
    for group in (2, 7, 11):
        torch.testing.assert_close(found[group == GROUPS], scores[group == GROUPS].log_softmax(0))
    small = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: group_log_softmax(s, GROUPS), (small,))


def test_sums_over_a_padded_copy_equal_those_of_each_sequence() -> None:
    lengths = torch.tensor([5, 1, 7, 2])
    owner = torch.repeat_interleave(torch.arange(4), lengths)
    rows = torch.randn(15, 3, dtype=torch.float64, requires_grad=True)
    found = padded_sums(rows, owner, lengths)
    torch.testing.assert_close(found, torch.stack([part.sum(0) for part in rows.split(lengths.tolist())]))
    assert torch.autograd.gradcheck(lambda r: padded_sums(r, owner, lengths), (rows,))
