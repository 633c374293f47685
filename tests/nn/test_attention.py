"""Packed attention agrees with torch's attention over each text separately."""

import pytest
import torch
from families import EQUAL_LENGTHS, SEVERAL_GROUPS, UNEQUAL_LENGTHS
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from bertune.nn.attention import attention
from bertune.nn.dropout import Dropout
from bertune.nn.layout import Layout, layout

HEADS, SIZE = 3, 5
FULL = (16, 16, 16, 16)  # needs no padding
LONG = (203, 7)  # the first is too long to share a group
LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS, FULL, LONG, (1,), (8,)]
NONE = Dropout(is_training=False)


def places(lengths: tuple[int, ...]) -> Layout:
    return layout(torch.tensor(lengths), torch.device("cpu"), torch.float32)


def rows(lengths: tuple[int, ...], layout: Layout) -> Tensor:
    """Random queries, keys and values [R, 3H]; rows that only round the size up are zero."""
    torch.manual_seed(4)
    drawn_TE = 2 * torch.randn(sum(lengths), 3 * HEADS * SIZE)
    return pad(drawn_TE, (0, 0, 0, layout.num_rows - len(drawn_TE))).requires_grad_()


def one_by_one(qkv_TE: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The reference: each text by itself, without a batch or padding."""
    contexts = []
    for own_LE in qkv_TE[: sum(lengths)].split(list(lengths)):
        query, key, value = own_LE.view(len(own_LE), 3, HEADS, SIZE).permute(1, 2, 0, 3)
        context_ALD = scaled_dot_product_attention(query[None], key[None], value[None])[0]
        contexts.append(context_ALD.transpose(0, 1).reshape(len(own_LE), -1))
    return torch.cat(contexts)


def with_the_same_masks(qkv_TE: Tensor, lengths: tuple[int, ...], layout: Layout, p: float) -> Tensor:
    """The reference with dropout, in plain operations, with the masks of `attention` for this seed."""
    torch.manual_seed(8)
    dropout, contexts = Dropout(is_training=True), []
    for group in layout.groups:
        mask = dropout.mask((group.num_rows * HEADS, group.longest, group.longest), p, qkv_TE)
        assert mask is not None
        kept_BALL = mask.kept.view(group.num_rows, HEADS, group.longest, group.longest)
        own = lengths[group.sequences]
        for own_LE, kept_ALL in zip(qkv_TE[group.tokens].split(list(own)), kept_BALL, strict=False):
            length = len(own_LE)
            query, key, value = own_LE.view(length, 3, HEADS, SIZE).permute(1, 2, 0, 3)
            shares_ALL = torch.softmax(query @ key.transpose(1, 2) / SIZE**0.5, -1)
            shares_ALL = shares_ALL * kept_ALL[:, :length, :length] * mask.scale
            contexts.append((shares_ALL @ value).transpose(0, 1).reshape(length, -1))
    return torch.cat(contexts)


def gradient(context_TH: Tensor, qkv_TE: Tensor, num_tokens: int) -> Tensor:
    """The gradient of a loss with a different weight for every output."""
    torch.manual_seed(6)
    (found,) = torch.autograd.grad((context_TH[:num_tokens] * torch.randn(num_tokens, 15)).sum(), qkv_TE)
    return found


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packed_attention_equals_that_of_each_text_alone(lengths: tuple[int, ...]) -> None:
    there = places(lengths)
    qkv_TE = rows(lengths, there)
    context_TH = attention(qkv_TE, HEADS, there, NONE, 0.1)
    torch.testing.assert_close(context_TH[: sum(lengths)], one_by_one(qkv_TE, lengths))


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_gradient_of_packed_attention_equals_that_of_each_text_alone(lengths: tuple[int, ...]) -> None:
    there = places(lengths)
    qkv_TE = rows(lengths, there)
    found = gradient(attention(qkv_TE, HEADS, there, NONE, 0.1), qkv_TE, sum(lengths))
    expected = gradient(one_by_one(qkv_TE, lengths), qkv_TE, sum(lengths))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_padding_rows_are_zero_and_get_no_gradient(lengths: tuple[int, ...]) -> None:
    there = places(lengths)
    qkv_TE = rows(lengths, there).detach() + 1  # padding rows may contain anything
    qkv_TE.requires_grad_()
    context_TH = attention(qkv_TE, HEADS, there, NONE, 0.0)
    assert len(context_TH) == there.num_rows
    context_TH.sum().backward()
    assert context_TH[sum(lengths) :].eq(0).all()
    assert qkv_TE.grad is not None
    assert qkv_TE.grad[sum(lengths) :].eq(0).all()


def test_extreme_scores_do_not_attend_to_padding() -> None:
    there = places((9, 3))
    qkv_TE = rows((9, 3), there).detach() * 50
    found = attention(qkv_TE, HEADS, there, NONE, 0.0)
    torch.testing.assert_close(found[:12], one_by_one(qkv_TE, (9, 3)), atol=1e-3, rtol=1e-4)


def test_inference_saves_nothing_for_the_backward_pass() -> None:
    there = places((9, 3))
    assert not attention(rows((9, 3), there).detach(), HEADS, there, NONE, 0.0).requires_grad


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_with_a_mask_equals_the_formula(lengths: tuple[int, ...]) -> None:
    there = places(lengths)
    qkv_TE = rows(lengths, there)
    torch.manual_seed(8)
    found = attention(qkv_TE, HEADS, there, Dropout(is_training=True), 0.3)
    expected = with_the_same_masks(qkv_TE, lengths, there, 0.3)
    torch.testing.assert_close(found[: sum(lengths)], expected)
    torch.testing.assert_close(
        gradient(found, qkv_TE, sum(lengths)),
        gradient(expected, qkv_TE, sum(lengths)),
        atol=2e-5,
        rtol=1e-5,
    )


def test_attention_dropout_keeps_the_expected_output() -> None:
    there = places((9, 3, 13))
    qkv_TE = rows((9, 3, 13), there).detach()
    exact = attention(qkv_TE, HEADS, there, NONE, 0.3)
    torch.manual_seed(0)
    num = 3000
    draws = torch.stack([attention(qkv_TE, HEADS, there, Dropout(is_training=True), 0.3) for _ in range(num)])
    error = (draws.mean(0) - exact).abs()
    standard_error = draws.std(0) / num**0.5
    assert (error <= 5 * standard_error + 1e-6).all()
    assert float(draws.std(0)[:25].max()) > 0.1, "and the draws do differ"
