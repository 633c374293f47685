"""Attention over packed sequences on a CUDA device: variable-length flash attention (Dao 2023).

There is no padding, scores are not materialized, and dropout is applied inside the kernel. The operator is
the one that `torch.nn.attention.varlen` calls, which does not expose dropout. The reference implementations
are `attention.attention` and `first_token.first_token_context`, which compute group by group.

Dimensions: T tokens, R rows including unused ones, B sequences, A heads, D head size, H hidden size.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from bertune.nn.dropout import Dropout
from bertune.nn.families import Layer
from bertune.nn.layout import Layout
from bertune.nn.weights import Weights

_LARGEST_HEAD = 256


def can_flash(x: Tensor, num_heads: int) -> bool:
    """Whether the device supports the kernel for inputs `x` [T, H]."""
    head_size = x.shape[1] // num_heads
    return (
        x.device.type == "cuda"
        and x.dtype in (torch.bfloat16, torch.float16)
        and head_size % 8 == 0
        and head_size <= _LARGEST_HEAD
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )


def flash_attention(qkv_RE: Tensor, num_heads: int, layout: Layout, dropout: Dropout, p: float) -> Tensor:
    """Softmax attention [R, H] from concatenated queries, keys and values [R, 3H]; unused rows are zero."""
    num_padding = len(qkv_RE) - layout.num_tokens
    # Split rather than slice: the gradient of a slice is a zero tensor of the full size.
    qkv_TE, _ = torch.split(qkv_RE, [layout.num_tokens, num_padding])
    query_TAD, key_TAD, value_TAD = qkv_TE.view(len(qkv_TE), 3, num_heads, -1).unbind(1)
    edges, longest = layout.edges, layout.longest
    context_TAD = _flash(query_TAD, key_TAD, value_TAD, (edges, longest), (edges, longest), _rate(dropout, p))
    return pad(context_TAD.reshape(len(qkv_TE), -1), (0, 0, 0, num_padding))


def flash_first_token(
    hidden_RH: Tensor, layer: Layer, layout: Layout, weights: Weights, dropout: Dropout
) -> Tensor:
    """The attention output of the first token of each sequence, [B, H]."""
    query_BH = weights(hidden_RH[layout.starts_B], layer.query)
    keys_values_RE = weights(hidden_RH, layer.key, layer.value)
    num_padding = len(hidden_RH) - layout.num_tokens
    keys_values_TE, _ = torch.split(keys_values_RE, [layout.num_tokens, num_padding])
    key_TAD, value_TAD = keys_values_TE.view(len(keys_values_TE), 2, layer.num_heads, -1).unbind(1)
    query_BAD = query_BH.view(len(query_BH), layer.num_heads, -1)
    one_each = torch.arange(len(query_BH) + 1, dtype=torch.int32, device=query_BH.device)
    rate = _rate(dropout, layer.attention_dropout)
    context_BAD = _flash(query_BAD, key_TAD, value_TAD, (one_each, 1), (layout.edges, layout.longest), rate)
    return context_BAD.reshape(len(query_BH), -1)


def _rate(dropout: Dropout, p: float) -> float:
    return p if dropout.is_training else 0.0


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    of_queries: tuple[Tensor, int],
    of_keys: tuple[Tensor, int],
    p: float,
) -> Tensor:
    """Call the kernel. Sequences are given by their boundaries (int32) and their maximum length."""
    (edges_q, longest_q), (edges_k, longest_k) = of_queries, of_keys
    outputs = torch.ops.aten._flash_attention_forward(
        query, key, value, edges_q, edges_k, longest_q, longest_k, p, False, False
    )
    context: Tensor = outputs[0]
    return context
