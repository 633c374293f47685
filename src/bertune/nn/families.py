"""Encoder families that can run packed, and where their Hugging Face classes keep the parts of a layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

# Families with BERT's post-norm layers and the same module names.
_BERT_LIKE = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
FAMILIES = _BERT_LIKE | {"distilbert"}
POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


@dataclass(frozen=True)
class Layer:
    """A post-norm Transformer layer: attention and a feed-forward block, each with residual and norm."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    attention_norm: nn.LayerNorm
    inner: nn.Linear
    activation: Callable[[Tensor], Tensor]
    outer: nn.Linear
    outer_norm: nn.LayerNorm
    num_heads: int
    attention_dropout: float  # on the attention probabilities
    context_dropout: float  # on the output of attention
    outer_dropout: float


def why_not_packed(hf: Any) -> str | None:
    """The reason why an encoder must run padded, or None if it can run packed."""
    config = hf.config
    if config.model_type not in FAMILIES:
        return f"the layers of {config.model_type} are not supported"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return "it is a decoder"
    if getattr(config, "position_embedding_type", "absolute") not in (None, "absolute"):
        return "its positions are relative"
    return None


def layers(encoder: Any) -> list[Layer]:
    """The layers of an encoder that can run packed, lowest first."""
    if encoder.config.model_type == "distilbert":
        return [_distilbert_layer(layer) for layer in encoder.transformer.layer]
    return [_bert_layer(layer) for layer in encoder.encoder.layer]


def _bert_layer(layer: Any) -> Layer:
    attention, output = layer.attention.self, layer.attention.output
    return Layer(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        attention_output=output.dense,
        attention_norm=output.LayerNorm,
        inner=layer.intermediate.dense,
        activation=layer.intermediate.intermediate_act_fn,
        outer=layer.output.dense,
        outer_norm=layer.output.LayerNorm,
        num_heads=attention.num_attention_heads,
        attention_dropout=attention.dropout.p,
        context_dropout=output.dropout.p,
        outer_dropout=layer.output.dropout.p,
    )


def _distilbert_layer(layer: Any) -> Layer:
    attention = layer.attention
    return Layer(
        query=attention.q_lin,
        key=attention.k_lin,
        value=attention.v_lin,
        attention_output=attention.out_lin,
        attention_norm=layer.sa_layer_norm,
        inner=layer.ffn.lin1,
        activation=layer.ffn.activation,
        outer=layer.ffn.lin2,
        outer_norm=layer.output_layer_norm,
        num_heads=attention.n_heads,
        attention_dropout=attention.dropout.p,
        context_dropout=0.0,  # DistilBERT has no dropout between attention and its norm
        outer_dropout=layer.ffn.dropout.p,
    )
