"""Attention of the first token without computing keys and values, for inference.

A score is q·(W x + b) = (Wᵀ q)·x + q·b. The second term is the same for all tokens of a sequence, so softmax
cancels it. The attention weights sum to one, so the value projection and its bias can be applied after the
tokens are averaged. This replaces a matrix product per token by one per sequence. The reference
implementation is `first_token.first_token_context`.

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
    """The attention output of the first token of each sequence [B, H], without a graph or dropout."""
    num_heads, width = layer.num_heads, hidden_TH.shape[1]
    query_BH = weights(hidden_TH[layout.starts_B], layer.query)
    query_ABD = query_BH.view(len(query_BH), num_heads, -1).transpose(0, 1)
    query_ABD = query_ABD * query_ABD.shape[-1] ** -0.5
    key_weight, _ = weights.cast(hidden_TH.dtype, layer.key)
    value_weight, value_bias = weights.cast(hidden_TH.dtype, layer.value)
    query_BAH = (query_ABD @ key_weight.view(num_heads, -1, width)).transpose(0, 1)
    averages = [
        _weighted_average(query_BAH[group.sequences], hidden_TH[group.tokens], group)
        for group in layout.groups
    ]
    average_ABH = torch.cat(averages).transpose(0, 1)
    context_ABD = average_ABH @ value_weight.view(num_heads, -1, width).transpose(1, 2)
    return context_ABD.transpose(0, 1).reshape(len(query_BH), -1) + value_bias


def _weighted_average(query_BAH: Tensor, hidden_TH: Tensor, group: Group) -> Tensor:
    """The average of the tokens of a group, weighted by each head of each sequence, [B, A, H]."""
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
