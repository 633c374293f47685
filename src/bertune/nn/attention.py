"""Attention over packed sequences on a CPU: each sequence attends only to itself.

The reference implementation is `torch.nn.functional.scaled_dot_product_attention` on padded input. Its fused
CPU kernel has no dropout, and its fallback makes several passes over all scores. Here, groups of sequences of
similar length are computed one at a time, so that the scores of a group stay in the cache.

Dimensions: T tokens, B sequences of a group, A heads, D head size, H hidden size, L longest of a group.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bertune.nn.dropout import Dropout, Mask
from bertune.nn.layout import Group, Layout
from bertune.nn.softmax import softmax, softmax_backward


def attention(qkv_TE: Tensor, num_heads: int, layout: Layout, dropout: Dropout, p: float) -> Tensor:
    """Softmax attention [T, H] from concatenated queries, keys and values [T, 3H]."""
    masks = [
        dropout.mask((group.num_rows * num_heads, group.longest, group.longest), p, qkv_TE)
        for group in layout.groups
    ]
    context_TH: Tensor = _Attention.apply(qkv_TE, num_heads, layout, masks)  # type: ignore[no-untyped-call]
    return context_TH


def to_heads(rows: Tensor, group: Group, num_heads: int, num_parts: int = 1) -> Tensor:
    """Reshape the tokens of a group [tokens, num_parts * H] to [num_parts, B, A, L, D], padded with zeros."""
    if group.slots is not None:
        padded = rows.new_zeros(group.num_rows * group.longest, rows.shape[-1])
        rows = padded.index_copy(0, group.slots, rows)
    view = rows.view(group.num_rows, group.longest, num_parts, num_heads, -1)
    return view.permute(2, 0, 3, 1, 4)


def _from_heads(heads_PBALD: Tensor, group: Group, out_TE: Tensor) -> None:
    """Write the rows of a group back to its tokens."""
    parts, num, heads, longest, size = heads_PBALD.shape
    rows = heads_PBALD.permute(1, 3, 0, 2, 4)  # [B, L, P, A, D]
    if group.slots is None:
        out_TE[group.tokens].view(num, longest, parts, heads, size).copy_(rows)
    else:
        out_TE[group.tokens] = rows.reshape(num * longest, -1)[group.slots]


@dataclass(frozen=True)
class _Saved:
    """Tensors saved for the backward pass of one group; N = B * A."""

    query_NLD: Tensor  # divided by the square root of D
    key_NLD: Tensor
    value_NLD: Tensor
    weights_NLL: Tensor
    mask: Mask | None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv_TE: Tensor, num_heads: int, layout: Layout, masks: list[Mask | None]) -> Tensor:
        context_TH = qkv_TE.new_empty(len(qkv_TE), qkv_TE.shape[1] // 3)
        context_TH[layout.num_tokens :] = 0
        ctx.num_heads, ctx.layout, ctx.saved = num_heads, layout, []
        for group, mask in zip(layout.groups, masks, strict=True):
            saved, context_NLD = _forward(to_heads(qkv_TE[group.tokens], group, num_heads, 3), group, mask)
            heads_BALD = context_NLD.view(group.num_rows, num_heads, group.longest, -1)
            _from_heads(heads_BALD[None], group, context_TH)
            if ctx.needs_input_grad[0]:
                ctx.saved.append(saved)
        return context_TH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient_TH,) = gradients
        gradient_TE = gradient_TH.new_empty(len(gradient_TH), 3 * gradient_TH.shape[1])
        gradient_TE[ctx.layout.num_tokens :] = 0
        for group, saved in zip(ctx.layout.groups, ctx.saved, strict=True):
            context_NLD = to_heads(gradient_TH[group.tokens], group, ctx.num_heads)[0].flatten(0, 1)
            parts = torch.stack(_backward(context_NLD, saved))
            shape = (3, group.num_rows, ctx.num_heads, group.longest, -1)
            _from_heads(parts.view(shape), group, gradient_TE)
        ctx.saved = []
        return gradient_TE, None, None, None


def _forward(heads_PBALD: Tensor, group: Group, mask: Mask | None) -> tuple[_Saved, Tensor]:
    query_NLD, key_NLD, value_NLD = heads_PBALD.contiguous().flatten(1, 2)
    query_NLD.mul_(query_NLD.shape[-1] ** -0.5)
    scores_NLL = query_NLD @ key_NLD.transpose(1, 2)
    if group.bias is not None:
        num, heads = heads_PBALD.shape[1:3]
        scores_NLL.view(num, heads, group.longest, group.longest).add_(group.bias)
    weights_NLL = softmax(scores_NLL)
    saved = _Saved(query_NLD, key_NLD, value_NLD, weights_NLL, mask)
    if mask is None:
        return saved, weights_NLL @ value_NLD
    return saved, ((weights_NLL * mask.kept) @ value_NLD).mul_(mask.scale)


def _backward(gradient_NLD: Tensor, saved: _Saved) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, each [N, L, D]."""
    weights_NLL, mask = saved.weights_NLL, saved.mask
    gradient_NLD = gradient_NLD.contiguous() if mask is None else gradient_NLD * mask.scale
    kept_NLL = weights_NLL if mask is None else weights_NLL * mask.kept
    for_value = kept_NLL.transpose(1, 2) @ gradient_NLD
    for_weights = gradient_NLD @ saved.value_NLD.transpose(1, 2)
    if mask is not None:
        for_weights.mul_(mask.kept)
    for_scores = softmax_backward(for_weights, weights_NLL)
    for_query = (for_scores @ saved.key_NLD).mul_(gradient_NLD.shape[-1] ** -0.5)
    for_key = for_scores.transpose(1, 2) @ saved.query_NLD
    return for_query, for_key, for_value
