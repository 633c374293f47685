"""Owns the packed forward pass: no padding but inside attention, over a Hugging Face model's own parameters.

Its reference twin is the model's own padded forward in model.py; both must agree. Dimensions: T tokens of all
sequences end to end, B sequences, L longest of them, A heads, D head size, H hidden size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from bertune.nn.lookup import RowGradients, lookup
from bertune.text.sequences import Batch

# Families that share BERT's post-norm layers, with the same module names inside.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


def why_not_packed(hf: Any) -> str | None:
    """The reason this encoder runs padded, or None when it can run packed."""
    config = hf.config
    if config.model_type not in FAMILIES:
        return f"{config.model_type} has layers of its own"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return "it is a decoder"
    if getattr(config, "position_embedding_type", "absolute") not in (None, "absolute"):
        return "its positions are relative"
    return None


def packed_hidden(encoder: Any, batch: Batch, rows: RowGradients) -> Tensor:
    """The last hidden states [T, H] of a batch, each sequence attending to itself alone.

    `rows` takes the gradient of the encoder's word embeddings.
    """
    layout = _layout(batch)
    config = encoder.config
    positions_T = layout.positions_T
    if config.model_type in _POSITIONS_AFTER_PADDING:
        positions_T = _positions_after_padding(batch, config.pad_token_id)
    table = encoder.embeddings.word_embeddings
    is_learning = torch.is_grad_enabled() and table.weight.requires_grad
    hidden_1TH = encoder.embeddings(
        input_ids=batch.ids_T[None],
        inputs_embeds=lookup(table, batch.ids_T, rows)[None] if is_learning else None,
        token_type_ids=batch.types_T[None]
        if config.type_vocab_size > 1
        else torch.zeros_like(batch.ids_T[None]),
        position_ids=positions_T[None],
    )
    if hasattr(encoder, "embeddings_project"):
        hidden_1TH = encoder.embeddings_project(hidden_1TH)
    hidden_TH: Tensor = hidden_1TH[0]
    for layer in encoder.encoder.layer:
        context_TH = _self_attention(layer.attention.self, hidden_TH, layout)
        hidden_TH = layer.attention.output(context_TH, hidden_TH)
        hidden_TH = layer.output(layer.intermediate(hidden_TH), hidden_TH)
    return hidden_TH


def _positions_after_padding(batch: Batch, padding: int) -> Tensor:
    """RoBERTa's positions [T]: counted from the padding index on, over tokens that are not padding."""
    lengths_B = batch.lengths_S.to(batch.ids_T.device)
    starts_B = torch.cumsum(lengths_B, 0) - lengths_B
    counts_T = (batch.ids_T != padding).long()
    before_B = (torch.cumsum(counts_T, 0) - counts_T)[starts_B]
    place_T = torch.cumsum(counts_T, 0) - torch.repeat_interleave(before_B, lengths_B)
    return place_T * counts_T + padding


def first_token_logits(hf: Any, hidden_TH: Tensor, batch: Batch) -> Tensor:
    """What a sequence-classification model's own head makes of each sequence's first token, [B, outputs]."""
    first_B = (torch.cumsum(batch.lengths_S, 0) - batch.lengths_S).to(hidden_TH.device)
    first_B1H = hidden_TH[first_B][:, None]
    pooler = getattr(hf.base_model, "pooler", None)
    # RoBERTa and ELECTRA have no pooler: their classifier picks the first token itself.
    features = first_B1H if pooler is None else hf.dropout(pooler(first_B1H))
    logits: Tensor = hf.classifier(features)
    return logits


@dataclass(frozen=True)
class _Layout:
    """Where each packed token stands in the padded view that attention needs."""

    positions_T: Tensor  # place in its sequence
    slots_T: Tensor | None  # row of the padded view; None when all lengths are equal and a reshape will do
    mask_B11L: Tensor | None  # True where there is a token
    num_sequences: int
    longest: int


def _layout(batch: Batch) -> _Layout:
    lengths_B = batch.lengths_S
    longest = int(lengths_B.max())
    starts_B = torch.cumsum(lengths_B, 0) - lengths_B
    positions_T = torch.arange(int(lengths_B.sum())) - torch.repeat_interleave(starts_B, lengths_B)
    device = batch.ids_T.device
    if int(lengths_B.min()) == longest:
        return _Layout(positions_T.to(device), None, None, len(lengths_B), longest)
    slots_T = positions_T + torch.repeat_interleave(torch.arange(len(lengths_B)) * longest, lengths_B)
    mask_BL = torch.arange(longest)[None] < lengths_B[:, None]
    return _Layout(
        positions_T.to(device),
        slots_T.to(device),
        mask_BL[:, None, None].to(device),
        len(lengths_B),
        longest,
    )


def _self_attention(attention: Any, hidden_TH: Tensor, layout: _Layout) -> Tensor:
    """Softmax attention within each sequence, [T, H]."""
    if torch.is_autocast_enabled(hidden_TH.device.type):
        # The three projections would each cast their input; once is enough.
        hidden_TH = hidden_TH.to(torch.get_autocast_dtype(hidden_TH.device.type))
    heads = attention.num_attention_heads
    query_BALD, key_BALD, value_BALD = (
        _padded_heads(projection(hidden_TH), heads, layout)
        for projection in (attention.query, attention.key, attention.value)
    )
    context_BALD = scaled_dot_product_attention(
        query_BALD,
        key_BALD,
        value_BALD,
        attn_mask=layout.mask_B11L,
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    padded_SH = context_BALD.transpose(1, 2).reshape(layout.num_sequences * layout.longest, -1)
    return padded_SH if layout.slots_T is None else padded_SH[layout.slots_T]


def _padded_heads(projected_TH: Tensor, heads: int, layout: _Layout) -> Tensor:
    """[T, H] as [B, A, L, D], zeros where there is no token."""
    if layout.slots_T is not None:
        padded_SH = projected_TH.new_zeros(layout.num_sequences * layout.longest, projected_TH.shape[-1])
        projected_TH = padded_SH.index_copy(0, layout.slots_T, projected_TH)
    return projected_TH.view(layout.num_sequences, layout.longest, heads, -1).transpose(1, 2)
