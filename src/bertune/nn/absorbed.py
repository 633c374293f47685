"""Owns the first token's attention without keys and values, where no gradient is wanted.

A score is q·(W x + b) = (Wᵀ q)·x + q·b, and the second term is the same for all tokens of a sequence, so that
softmax does not see it. The weights add up to one, so that the values' product and bias can wait until the
tokens are averaged. What was a product for each token is one for each sequence. The twin is
`first_token.first_token_context`.

Dimensions: T tokens, B sequences, A heads, D head size, H hidden size, L longest of a group.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from bertune.nn.families import Layer
from bertune.nn.layout import Group, Layout
from bertune.nn.softmax import softmax
from bertune.nn.weights import Weights


def absorbed_context(hidden_TH: Tensor, layer: Layer, layout: Layout, weights: Weights) -> Tensor:
    """What the first token of each sequence attends to, [B, H]; without a graph and without dropout."""
    num_heads, width = layer.num_heads, hidden_TH.shape[1]
    query_BH = weights(hidden_TH[layout.starts_B], layer.query)
    query_ABD = query_BH.view(len(query_BH), num_heads, -1).transpose(0, 1)
    query_ABD = query_ABD * query_ABD.shape[-1] ** -0.5
    key_weight, _ = weights.cast(hidden_TH.dtype, layer.key)
    value_weight, value_bias = weights.cast(hidden_TH.dtype, layer.value)
    query_BAH = (query_ABD @ key_weight.view(num_heads, -1, width)).transpose(0, 1)
    seen = [_seen(query_BAH[group.sequences], hidden_TH[group.tokens], group) for group in layout.groups]
    seen_ABH = torch.cat(seen).transpose(0, 1)
    context_ABD = seen_ABH @ value_weight.view(num_heads, -1, width).transpose(1, 2)
    return context_ABD.transpose(0, 1).reshape(len(query_BH), -1) + value_bias


def _seen(query_BAH: Tensor, hidden_TH: Tensor, group: Group) -> Tensor:
    """The average of a group's tokens as each head of each sequence weighs them, [B, A, H]."""
    num_sequences = len(query_BAH)
    if group.slots is not None:
        padded = hidden_TH.new_zeros(group.num_rows * group.longest, hidden_TH.shape[1])
        hidden_TH = padded.index_copy_(0, group.slots, hidden_TH)
        query_BAH = pad(query_BAH, (0, 0, 0, 0, 0, group.num_rows - num_sequences))
    hidden_BLH = hidden_TH.view(group.num_rows, group.longest, -1)
    scores_BAL = query_BAH @ hidden_BLH.transpose(1, 2)
    if group.bias is not None:
        scores_BAL += group.bias[:, 0]
    return (softmax(scores_BAL) @ hidden_BLH)[:num_sequences]
