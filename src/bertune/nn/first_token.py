"""Owns the last layer where only the first token of each sequence is read: one query, one row out of it.

Keys and values are those of all tokens, so the algebra is that of the whole layer; the twin is
`packed.full_layer` at the first tokens' rows.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from bertune.nn.attention import to_heads
from bertune.nn.dropout import Dropout
from bertune.nn.families import Layer
from bertune.nn.layout import Group, Layout
from bertune.nn.weights import Weights


def first_token_context(
    hidden_TH: Tensor, layer: Layer, layout: Layout, weights: Weights, dropout: Dropout
) -> Tensor:
    """What the first token of each sequence attends to, [B, H]."""
    query_BH = weights(hidden_TH[layout.starts_B], layer.query)
    keys_values_TE = weights(hidden_TH, layer.key, layer.value)
    # Split, not sliced: the gradient of a slice is a tensor of zeros as large as the whole.
    num_padding = len(hidden_TH) - layout.num_tokens
    tokens = [group.tokens.stop - group.tokens.start for group in layout.groups]
    queries = torch.split(query_BH, [group.num_sequences for group in layout.groups])
    keys_values = torch.split(keys_values_TE, [*tokens, num_padding])
    contexts = [
        _context(query, rows, group, layer, dropout)
        for query, rows, group in zip(queries, keys_values, layout.groups, strict=False)
    ]
    return torch.cat(contexts)


def _context(query_BH: Tensor, keys_values: Tensor, group: Group, layer: Layer, dropout: Dropout) -> Tensor:
    heads = layer.num_heads
    key_BALD, value_BALD = to_heads(keys_values, group, heads, 2)
    query_BH = pad(query_BH, (0, 0, 0, group.num_rows - len(query_BH)))
    query_BA1D = query_BH.view(group.num_rows, heads, 1, -1)
    scores_BA1L = (query_BA1D * query_BA1D.shape[-1] ** -0.5) @ key_BALD.transpose(-1, -2)
    if group.bias is not None:
        scores_BA1L = scores_BA1L + group.bias
    weights_BA1L = dropout(torch.softmax(scores_BA1L, -1), layer.attention_dropout)
    context_BE: Tensor = (weights_BA1L @ value_BALD).reshape(group.num_rows, -1)
    return context_BE[: group.num_sequences]
