"""Pooled hidden states of any layer of an encoder, for encoders without fine-tuning.

Dimensions: S sequences, T tokens of all sequences, L longest sequence, H hidden size.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bertune.errors import ConfigError
from bertune.nn.batch import Batch
from bertune.nn.families import why_not_packed
from bertune.nn.model import padded_inputs
from bertune.nn.packed import PackedEncoder, first_token_layer, full_layer
from bertune.nn.standard_heads import mean_of_sequences

Pooling = Literal["mean", "cls"]


class PooledEncoder(nn.Module):
    """The vector of each sequence: the mean of its tokens, or its first token, at one layer.

    `layer` counts like `hidden_states` of transformers: 0 for the embeddings, 1 for the first layer, -1 for
    the last. The packed forward pass does not compute the layers above. Raises ConfigError for a layer that
    the encoder does not have.
    """

    def __init__(self, encoder: Any, pooling: Pooling, layer: int) -> None:
        super().__init__()
        number = encoder.config.num_hidden_layers
        if not -number - 1 <= layer <= number:
            raise ConfigError(
                f"serve.layer={layer}: the encoder has {number} layers. Use 1 to {number}, 0 for the "
                "embeddings, or -1 for the last layer"
            )
        self.encoder = encoder
        self.pooling = pooling
        self.layer = layer % (number + 1)
        self.packed: PackedEncoder | None = None
        self._is_first = False  # whether the packed forward pass returns first tokens only
        if why_not_packed(encoder) is None:
            parts = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
            parts.layer = parts.layer[: self.layer]
            self._is_first = pooling == "cls" and self.layer > 0
            self.packed = PackedEncoder(encoder, first_token_layer if self._is_first else full_layer)

    def forward(self, batch: Batch) -> Tensor:
        """The vectors of a batch, [S, H] in fp32."""
        hidden = self._padded(batch) if self.packed is None else self.packed(batch).float()
        if self._is_first:
            return hidden
        if self.pooling == "mean":
            return mean_of_sequences(hidden, batch)
        starts_S = (torch.cumsum(batch.lengths_S, 0) - batch.lengths_S).to(hidden.device)
        return hidden[starts_S]

    def _padded(self, batch: Batch) -> Tensor:
        """The hidden states [T, H] from the forward pass of transformers, the reference implementation."""
        inputs = padded_inputs(batch, self.encoder.config)
        states = self.encoder(**inputs, output_hidden_states=True).hidden_states
        hidden_BLH: Tensor = states[self.layer]
        return hidden_BLH[inputs["attention_mask"].bool()].float()
