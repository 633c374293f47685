"""The packed forward pass over the parameters of a Hugging Face model, with padding only inside attention.

The reference implementation is the padded forward pass in model.py; both must agree. As there, the residual
stream is in fp32 and matrix products use the dtype of autocast. Dimensions: T tokens of all sequences, R the
same rounded up, B sequences, H hidden size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, one_hot, pad

from bertune.nn.absorbed import absorbed_context
from bertune.nn.attention import attention
from bertune.nn.batch import Batch
from bertune.nn.dropout import Dropout
from bertune.nn.families import POSITIONS_AFTER_PADDING, Layer, layers
from bertune.nn.first_token import first_token_context
from bertune.nn.flash import can_flash, flash_attention, flash_first_token
from bertune.nn.gradients import Gradients, lookup
from bertune.nn.layout import Layout, layout
from bertune.nn.vocabulary import rows
from bertune.nn.weights import Weights


@dataclass(frozen=True)
class Pass:
    """State shared by all layers of one forward pass."""

    layout: Layout
    dropout: Dropout
    weights: Weights
    dtype: torch.dtype  # dtype of matrix products


LastLayer = Callable[[Tensor, Layer, Pass], Tensor]


def full_layer(hidden_RH: Tensor, layer: Layer, this: Pass) -> Tensor:
    """One Transformer layer over all tokens, [R, H]."""
    inputs_RH = hidden_RH.to(this.dtype)
    qkv_RE = this.weights(inputs_RH, layer.query, layer.key, layer.value)
    attend = flash_attention if can_flash(inputs_RH, layer.num_heads) else attention
    context_RH = attend(qkv_RE, layer.num_heads, this.layout, this.dropout, layer.attention_dropout)
    return _after_attention(hidden_RH, context_RH, layer, this)


def first_token_layer(hidden_RH: Tensor, layer: Layer, this: Pass) -> Tensor:
    """One Transformer layer at the first token of each sequence, [B, H]."""
    inputs_RH = hidden_RH.to(this.dtype)
    if can_flash(inputs_RH, layer.num_heads):
        context_BH = flash_first_token(inputs_RH, layer, this.layout, this.weights, this.dropout)
    # In fp32 the last bits of such small products depend on memory alignment, but a loaded model must give
    # exactly the outputs of the trained one.
    elif torch.is_grad_enabled() or this.dropout.is_training or this.dtype == torch.float32:
        context_BH = first_token_context(inputs_RH, layer, this.layout, this.weights, this.dropout)
    else:
        context_BH = absorbed_context(inputs_RH, layer, this.layout, this.weights)
    return _after_attention(hidden_RH[this.layout.starts_B], context_BH, layer, this)


class PackedEncoder:
    """Runs a Hugging Face encoder without padding, in stages: the embeddings, then each layer.

    The frozen stages at the bottom run without dropout and without a graph, so that their output depends only
    on the text. `Batch.hidden` replaces their output if it is given. With `Batch.words`, no stage counts as
    frozen, because the gradient of these vectors passes through all of them.
    """

    def __init__(self, encoder: Any, last_layer: LastLayer) -> None:
        self._encoder = encoder
        self._last_layer = last_layer
        self._layers = layers(encoder)
        self._gradients = Gradients()
        self._weights = Weights(self._gradients)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the compute copies, which are useless in another process."""
        return PackedEncoder, (self._encoder, self._last_layer)

    def __call__(self, batch: Batch) -> Tensor:
        """The last hidden states [T, H], or the output of a custom last layer."""
        dtype = _dtype_of_products(batch)
        num_stages = 1 + len(self._layers)
        num_frozen = 0 if batch.words is not None else self.num_frozen()
        hidden = batch.hidden
        if hidden is None and num_frozen:
            hidden = self._frozen(batch, dtype, num_frozen)
        with torch.autocast(batch.ids_T.device.type, enabled=False):
            this = self._pass(batch, dtype, self._encoder.training)
            if hidden is not None and num_frozen < num_stages:
                hidden = pad(hidden, (0, 0, 0, this.layout.num_rows - len(hidden)))
            return self._stages(batch, hidden, range(num_frozen, num_stages), this)[: len(batch.ids_T)]

    def frozen(self, batch: Batch) -> Tensor | None:
        """The output of the frozen stages, [T, H] or that of the last layer; None without frozen stages."""
        num_frozen = self.num_frozen()
        return self._frozen(batch, _dtype_of_products(batch), num_frozen) if num_frozen else None

    def num_frozen(self) -> int:
        """The number of stages at the bottom without trainable parameters."""
        for number, parameters in enumerate(self._stage_parameters()):
            if any(p.requires_grad for p in parameters):
                return number
        return 1 + len(self._layers)

    def frozen_parameters(self) -> list[nn.Parameter]:
        """The parameters of the frozen stages."""
        return [p for stage in islice(self._stage_parameters(), self.num_frozen()) for p in stage]

    def keeps_tokens(self) -> bool:
        """Whether the frozen stages return a row per token rather than per sequence."""
        return self._last_layer is full_layer or self.num_frozen() <= len(self._layers)

    def reset(self) -> None:
        """Free the compute copies and gradient buffers that are kept between steps."""
        self._gradients = Gradients()
        self._weights = Weights(self._gradients)

    def _stage_parameters(self) -> Iterator[list[nn.Parameter]]:
        project = getattr(self._encoder, "embeddings_project", None)
        for stage in ([self._encoder.embeddings, project], *(vars(layer).values() for layer in self._layers)):
            yield [p for m in stage if isinstance(m, nn.Module) for p in m.parameters()]

    def _frozen(self, batch: Batch, dtype: torch.dtype, num_stages: int) -> Tensor:
        with torch.no_grad(), torch.autocast(batch.ids_T.device.type, enabled=False):
            this = self._pass(batch, dtype, is_training=False)
            return self._stages(batch, None, range(num_stages), this)[: len(batch.ids_T)]

    def _pass(self, batch: Batch, dtype: torch.dtype, is_training: bool) -> Pass:
        packed_layout = layout(batch.lengths_S, batch.ids_T.device, dtype)
        return Pass(packed_layout, Dropout(is_training), self._weights, dtype)

    def _stages(self, batch: Batch, hidden: Tensor | None, stages: range, this: Pass) -> Tensor:
        for stage in stages:
            if hidden is None:
                hidden = self._embed(batch, this)
            elif stage < len(self._layers):
                hidden = full_layer(hidden, self._layers[stage - 1], this)
            else:
                hidden = self._last_layer(hidden, self._layers[-1], this)
        assert hidden is not None
        return hidden

    def _embed(self, batch: Batch, this: Pass) -> Tensor:
        parts, config = self._encoder.embeddings, self._encoder.config
        positions_T = this.layout.positions_T
        if config.model_type in POSITIONS_AFTER_PADDING:
            positions_T = _positions_after_padding(batch, this.layout, config.pad_token_id)
        words, positions = parts.word_embeddings, parts.position_embeddings
        hidden_TH = batch.words
        if hidden_TH is None:
            hidden_TH = lookup(words, rows(words, batch.ids_T), self._gradients)
        if hasattr(parts, "token_type_embeddings"):
            hidden_TH = hidden_TH + _types(parts.token_type_embeddings.weight, batch)
        hidden_TH = hidden_TH + embedding(positions_T, positions.weight, positions.padding_idx)
        hidden_TH = this.dropout(_norm(hidden_TH, parts.LayerNorm), parts.dropout.p)
        hidden_RH = pad(hidden_TH, (0, 0, 0, this.layout.num_rows - len(hidden_TH)))
        if hasattr(self._encoder, "embeddings_project"):
            return this.weights(hidden_RH.to(this.dtype), self._encoder.embeddings_project).float()
        return hidden_RH


def _dtype_of_products(batch: Batch) -> torch.dtype:
    device = batch.ids_T.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32


def _after_attention(hidden_RH: Tensor, context_RH: Tensor, layer: Layer, this: Pass) -> Tensor:
    attended_RH = this.weights(context_RH, layer.attention_output)
    hidden_RH = _norm(this.dropout.add(hidden_RH, attended_RH, layer.context_dropout), layer.attention_norm)
    inner_RF = layer.activation(this.weights(hidden_RH.to(this.dtype), layer.inner))
    outer_RH = this.weights(inner_RF, layer.outer)
    return _norm(this.dropout.add(hidden_RH, outer_RH, layer.outer_dropout), layer.outer_norm)


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _types(table: Tensor, batch: Batch) -> Tensor:
    """Token type embeddings [T, H], as a matrix product so that the gradient needs no scatter."""
    types_T = batch.types_T if len(table) > 1 else torch.zeros_like(batch.types_T)
    return one_hot(types_T, len(table)).to(table.dtype) @ table


def _positions_after_padding(batch: Batch, packed: Layout, padding: int) -> Tensor:
    """RoBERTa's positions [T]: numbered from the padding index + 1, skipping padding tokens."""
    lengths_B = packed.lengths_B.to(batch.ids_T.device)
    counts_T = (batch.ids_T != padding).long()
    before_B = (torch.cumsum(counts_T, 0) - counts_T)[packed.starts_B]
    place_T = torch.cumsum(counts_T, 0) - torch.repeat_interleave(before_B, lengths_B)
    return place_T * counts_T + padding
