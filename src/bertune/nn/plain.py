"""Builds saved models of common encoder families for prediction, without transformers.

Importing transformers takes longer than predicting a few thousand texts. The parameters have the names of the
Hugging Face classes, so that the packed forward finds its parts in either; the twin is `nn.model.load`, with
which outputs must agree bit for bit. There is no padded forward and no dropout: nothing here is trained.
Dimensions: S sequences, M tokens, H hidden size, C outputs, V vocabulary.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from bertune.encoder_config import EncoderConfig, read_encoder_config

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu}
_PREFIX = {"bert": "bert", "roberta": "roberta", "xlm-roberta": "roberta", "camembert": "roberta"}


def load_plain(folder: Path, auto_class: str) -> Any | None:
    """The model in a saved folder as an object like one of `auto_class`, in evaluation mode and fp32.

    None where only transformers can build it, or can say what is wrong with the folder.
    """
    config, path = read_encoder_config(folder), folder / "model.safetensors"
    if config is None or auto_class not in _CLASSES or not path.is_file():
        return None
    with torch.device("meta"):
        model = _CLASSES[auto_class](config)
    try:
        # Copies, because the bits of small products depend on how their operands are aligned in memory.
        weights = {name: t.to(torch.float32, copy=True) for name, t in load_file(str(path)).items()}
        for name, source in model.tied().items():
            weights.setdefault(name, weights.get(source, torch.empty(0)))
        model.load_state_dict(weights, assign=True)
    except (OSError, RuntimeError, SafetensorError):
        return None  # damaged, or of another shape: transformers names the parameter
    return model.eval()


class _Linear(nn.Linear):
    """Without initial values: the file has them, and on a meta tensor torch's own take seconds to import."""

    def reset_parameters(self) -> None:
        pass


class _LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None:
        pass


class _Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        pass


class _Pooler(nn.Module):
    """BERT's layer over the first token."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.dense = _Linear(size, size)

    def forward(self, hidden_SLH: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden_SLH[:, 0]))


class _Embeddings(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, roberta = config.hidden_size, config.model_type != "bert"
        self.word_embeddings = _Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.position_embeddings = _Embedding(
            config.max_position_embeddings, size, padding_idx=config.pad_token_id if roberta else None
        )
        self.token_type_embeddings = _Embedding(config.type_vocab_size, size)
        self.LayerNorm = _LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(0.0)


class _Parts(nn.Module):
    """A module that only holds others, by name."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def _layer(config: EncoderConfig) -> nn.Module:
    size, inner, epsilon = config.hidden_size, config.intermediate_size, config.layer_norm_eps

    def output(width: int) -> nn.Module:
        return _Parts(
            dense=_Linear(width, size), LayerNorm=_LayerNorm(size, eps=epsilon), dropout=nn.Dropout(0.0)
        )

    attention: Any = _Parts(
        query=_Linear(size, size),
        key=_Linear(size, size),
        value=_Linear(size, size),
        dropout=nn.Dropout(0.0),
    )
    attention.num_attention_heads = config.num_attention_heads
    intermediate: Any = _Parts(dense=_Linear(size, inner))
    intermediate.intermediate_act_fn = _ACTIVATIONS[config.hidden_act]
    return _Parts(
        attention=_Parts(self=attention, output=output(size)), intermediate=intermediate, output=output(inner)
    )


class _Encoder(nn.Module):
    """The bare encoder."""

    pooler: _Pooler | None

    def __init__(self, config: EncoderConfig, has_pooler: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder = _Parts(layer=nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers)))
        self.pooler = _Pooler(config.hidden_size) if has_pooler else None

    @property
    def base_model(self) -> nn.Module:
        return self

    def tied(self) -> dict[str, str]:
        return {}


class _WithHead(nn.Module):
    """An encoder under a head, by the attribute names of the family."""

    def __init__(self, config: EncoderConfig, has_pooler: bool) -> None:
        super().__init__()
        self.config = config
        self.add_module(_PREFIX[config.model_type], _Encoder(config, has_pooler))
        self.dropout = nn.Dropout(0.0)

    @property
    def base_model(self) -> Any:
        return getattr(self, _PREFIX[self.config.model_type])

    def tied(self) -> dict[str, str]:
        """Parameters that a file may leave out, each with the one it equals."""
        return {}


class ForSequenceClassification(_WithHead):
    def __init__(self, config: EncoderConfig) -> None:
        is_bert = config.model_type == "bert"
        super().__init__(config, has_pooler=is_bert)
        size, num = config.hidden_size, config.num_labels
        self.classifier = _Linear(size, num) if is_bert else _FirstTokenHead(size, num)


class _FirstTokenHead(nn.Module):
    """RoBERTa's classifier: [S, L, H] -> [S, C]."""

    def __init__(self, size: int, num: int) -> None:
        super().__init__()
        self.dense = _Linear(size, size)
        self.out_proj = _Linear(size, num)

    def forward(self, hidden_SLH: Tensor) -> Tensor:
        logits: Tensor = self.out_proj(torch.tanh(self.dense(hidden_SLH[:, 0])))
        return logits


class ForMultipleChoice(_WithHead):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=True)
        self.classifier = _Linear(config.hidden_size, 1)


class ForTokenClassification(_WithHead):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=False)
        self.classifier = _Linear(config.hidden_size, config.num_labels)


class ForQuestionAnswering(_WithHead):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=False)
        self.qa_outputs = _Linear(config.hidden_size, 2)


class _BertWords(nn.Module):
    """BERT's head over the vocabulary: [M, H] -> [M, V]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.transform = _Parts(
            dense=_Linear(size, size), LayerNorm=_LayerNorm(size, eps=config.layer_norm_eps)
        )
        self.activation = _ACTIVATIONS[config.hidden_act]
        self.decoder = _Linear(size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_MH: Tensor) -> Tensor:
        parts: Any = self.transform
        words: Tensor = self.decoder(parts.LayerNorm(self.activation(parts.dense(hidden_MH))))
        return words


class _BertHead(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.predictions = _BertWords(config)

    def forward(self, hidden_MH: Tensor) -> Tensor:
        words: Tensor = self.predictions(hidden_MH)
        return words


class _RobertaHead(nn.Module):
    """RoBERTa's head over the vocabulary, always with GELU: [M, H] -> [M, V]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.dense = _Linear(size, size)
        self.layer_norm = _LayerNorm(size, eps=config.layer_norm_eps)
        self.decoder = _Linear(size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_MH: Tensor) -> Tensor:
        words: Tensor = self.decoder(self.layer_norm(gelu(self.dense(hidden_MH))))
        return words


class ForMaskedLM(_WithHead):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=False)
        if config.model_type == "bert":
            self.cls = _BertHead(config)
        else:
            self.lm_head = _RobertaHead(config)

    def tied(self) -> dict[str, str]:
        prefix = _PREFIX[self.config.model_type]
        head = "cls.predictions" if prefix == "bert" else "lm_head"
        words = f"{prefix}.embeddings.word_embeddings.weight"
        return {f"{head}.decoder.weight": words, f"{head}.decoder.bias": f"{head}.bias"}


_CLASSES: dict[str, Callable[[EncoderConfig], Any]] = {
    "AutoModel": _Encoder,
    "AutoModelForSequenceClassification": ForSequenceClassification,
    "AutoModelForMultipleChoice": ForMultipleChoice,
    "AutoModelForTokenClassification": ForTokenClassification,
    "AutoModelForQuestionAnswering": ForQuestionAnswering,
    "AutoModelForMaskedLM": ForMaskedLM,
}
