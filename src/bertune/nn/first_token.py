"""Attention of the last layer if only the first token of each sequence is used: one query per sequence.

Keys and values are computed for all tokens, so the result equals that of the full layer. The reference
implementation is `packed.full_layer` at the rows of the first tokens.
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
    """The attention output of the first token of each sequence, [B, H]."""
    query_BH = weights(hidden_TH[layout.starts_B], layer.query)
    keys_values_TE = weights(hidden_TH, layer.key, layer.value)
    # Split rather than slice: the gradient of a slice is a zero tensor of the full size.
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
