"""Build models of common encoder families without transformers.

Importing transformers takes longer than predicting a few thousand texts. The modules and parameters have the
names of the Hugging Face classes, so the packed forward pass and saved folders do not depend on which of them
is used. The reference implementations are `nn.model.load` and
`nn.model.build`: outputs, new weights and gradients must agree bitwise. There is no padded forward pass.
Dimensions: S sequences, M tokens, H hidden size, C outputs, V vocabulary.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from bertune.encoder_config import EncoderConfig, read_encoder_config

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu}
_PREFIX = {"bert": "bert", "roberta": "roberta", "xlm-roberta": "roberta", "camembert": "roberta"}


def load_plain(folder: Path, auto_class: str) -> Any | None:
    """Load the model in a saved folder, equivalent to `auto_class`, in evaluation mode and fp32.

    Returns None if only transformers can build the model, or can report what is wrong with the folder.
    """
    config, path = read_encoder_config(folder), folder / "model.safetensors"
    if config is None or auto_class not in _CLASSES or not path.is_file():
        return None
    model = _CLASSES[auto_class].on_meta(config)
    try:
        weights = _read(path)
        for name, source in model.tied().items():
            weights.setdefault(name, weights.get(source, torch.empty(0)))
        model.load_state_dict(weights, assign=True)
    except (OSError, RuntimeError, SafetensorError):
        return None  # damaged, or of another shape: transformers reports the parameter
    return model.eval()


def new_plain(folder: Path, config: EncoderConfig, auto_class: str) -> Any | None:
    """Build a model to train from pretrained weights, equivalent to `auto_class`, in fp32.

    A missing pooler or output layer is drawn from torch's generator, as by transformers. Returns None if
    only transformers can build the model, or can report what is wrong with the folder. That includes all
    families but BERT: the order of their parameters, and with it the sum of gradient norms, varies by class.
    """
    path = folder / "model.safetensors"
    if config.model_type != "bert" or auto_class not in _CLASSES or not path.is_file():
        return None
    model = _CLASSES[auto_class].on_meta(config)
    try:
        stored = _read(path)
    except (OSError, RuntimeError, SafetensorError):
        return None
    prefix = _PREFIX[config.model_type] + "."
    expected, weights = model.state_dict(), dict[str, Tensor]()
    for name in expected.keys() - model.tied().keys():
        # Files of a bare encoder lack the prefix, and those of a model with a head have it.
        found = next((n for n in (name, name.removeprefix(prefix), prefix + name) if n in stored), None)
        if found is not None and stored[found].shape == expected[name].shape:
            weights[name] = stored[found]
    missing = [name for name in expected if name not in weights and name not in model.tied()]
    if any(name.rpartition(".")[0] not in _fresh(model) for name in missing):
        return None
    for name in missing:  # in the order of the modules, as in transformers
        weights[name] = torch.zeros(expected[name].shape)
        if name.endswith("weight"):
            weights[name].normal_(mean=0.0, std=config.initializer_range)
    for name, source in model.tied().items():
        weights[name] = weights[source]
    model.load_state_dict(weights, assign=True)
    model.tie()
    config.architectures = [model.class_name]
    return model


def class_name(hf: Any) -> str:
    """The name of the Hugging Face class that a model is, or is equivalent to."""
    return str(getattr(hf, "class_name", type(hf).__name__))


def _read(path: Path) -> dict[str, Tensor]:
    # Copies, because the bits of small products depend on how their operands are aligned in memory.
    return {name: t.to(torch.float32, copy=True) for name, t in load_file(str(path)).items()}


def _fresh(model: nn.Module) -> set[str]:
    """The layers that pretrained weights may lack: the pooler, and what is on top of the encoder."""
    layers = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {n for n in layers if "pooler" in n or n.startswith(("classifier", "qa_outputs"))}


class _Linear(nn.Linear):
    """Not initialized: weights are loaded from a file, and initializing meta tensors imports slow modules."""

    def reset_parameters(self) -> None:
        pass


class _LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None:
        pass


def _embedding(num: int, size: int, padding_idx: int | None = None) -> nn.Embedding:
    return nn.Embedding(num, size, padding_idx=padding_idx, _weight=torch.empty(num, size))


class _Pooler(nn.Module):
    """BERT's pooler: a dense layer on the first token."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.dense = _Linear(size, size)

    def forward(self, hidden_SLH: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden_SLH[:, 0]))


class _Embeddings(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, roberta = config.hidden_size, config.model_type != "bert"
        self.word_embeddings = _embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.position_embeddings = _embedding(
            config.max_position_embeddings, size, padding_idx=config.pad_token_id if roberta else None
        )
        self.token_type_embeddings = _embedding(config.type_vocab_size, size)
        self.LayerNorm = _LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)


class _Parts(nn.Module):
    """A container for named submodules."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def _layer(config: EncoderConfig) -> nn.Module:
    size, inner, epsilon = config.hidden_size, config.intermediate_size, config.layer_norm_eps

    def output(width: int) -> nn.Module:
        return _Parts(
            dense=_Linear(width, size),
            LayerNorm=_LayerNorm(size, eps=epsilon),
            dropout=nn.Dropout(config.hidden_dropout_prob),
        )

    attention: Any = _Parts(
        query=_Linear(size, size),
        key=_Linear(size, size),
        value=_Linear(size, size),
        dropout=nn.Dropout(config.attention_probs_dropout_prob),
    )
    attention.num_attention_heads = config.num_attention_heads
    intermediate: Any = _Parts(dense=_Linear(size, inner))
    intermediate.intermediate_act_fn = _ACTIVATIONS[config.hidden_act]
    return _Parts(
        attention=_Parts(self=attention, output=output(size)), intermediate=intermediate, output=output(inner)
    )


class _Model(nn.Module):
    """The base class of all models, with the interface of transformers."""

    suffix = "Model"  # suffix of the Hugging Face class name

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def on_meta(cls, config: EncoderConfig) -> Self:
        """The model without values."""
        with torch.device("meta"):
            return cls(config)

    @property
    def class_name(self) -> str:
        """The name of the Hugging Face class."""
        return self.config.class_prefix + self.suffix

    def tied(self) -> dict[str, str]:
        """Parameters that a file may omit, with the names of the parameters they are tied to."""
        return {}

    def tie(self) -> None:
        """Makes each of `tied` the same parameter as the one it is tied to."""
        for name, source in self.tied().items():
            owner, _, own = name.rpartition(".")
            setattr(self.get_submodule(owner), own, self.get_parameter(source))

    def save_pretrained(self, folder: str, state_dict: dict[str, Tensor] | None = None) -> None:
        """Writes config.json and model.safetensors as transformers does."""
        state = self.state_dict() if state_dict is None else state_dict
        kept = {name: t.contiguous() for name, t in state.items() if name not in self.tied()}
        Path(folder, "config.json").write_text(self.config.to_json(), encoding="utf-8")
        save_file(kept, str(Path(folder, "model.safetensors")), metadata={"format": "pt"})


class _Encoder(_Model):
    """The bare encoder."""

    pooler: _Pooler | None

    def __init__(self, config: EncoderConfig, has_pooler: bool = False) -> None:
        super().__init__(config)
        self.embeddings = _Embeddings(config)
        self.encoder = _Parts(layer=nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers)))
        self.pooler = _Pooler(config.hidden_size) if has_pooler else None

    @property
    def base_model(self) -> nn.Module:
        return self

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, table: Any) -> None:
        self.embeddings.word_embeddings = table


class _WithHead(_Model):
    """An encoder with a head, under the attribute names of the family."""

    def __init__(self, config: EncoderConfig, has_pooler: bool) -> None:
        super().__init__(config)
        self.add_module(_PREFIX[config.model_type], _Encoder(config, has_pooler))

    @property
    def base_model(self) -> Any:
        return getattr(self, _PREFIX[self.config.model_type])


def _head_dropout(config: EncoderConfig) -> nn.Dropout:
    given = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if given is None else given)


class ForSequenceClassification(_WithHead):
    suffix = "ForSequenceClassification"

    def __init__(self, config: EncoderConfig) -> None:
        is_bert = config.model_type == "bert"
        super().__init__(config, has_pooler=is_bert)
        if is_bert:
            self.dropout = _head_dropout(config)
            self.classifier: nn.Module = _Linear(config.hidden_size, config.num_labels)
        else:
            self.classifier = _FirstTokenHead(config)


class _FirstTokenHead(nn.Module):
    """RoBERTa's classification head: [S, L, H] -> [S, C]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = _Linear(config.hidden_size, config.hidden_size)
        self.dropout = _head_dropout(config)
        self.out_proj = _Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden_SLH: Tensor) -> Tensor:
        features_SH = torch.tanh(self.dense(self.dropout(hidden_SLH[:, 0])))
        logits: Tensor = self.out_proj(self.dropout(features_SH))
        return logits


class ForMultipleChoice(_WithHead):
    suffix = "ForMultipleChoice"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=True)
        self.dropout = _head_dropout(config)
        self.classifier = _Linear(config.hidden_size, 1)


class ForTokenClassification(_WithHead):
    suffix = "ForTokenClassification"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=False)
        self.dropout = _head_dropout(config)
        self.classifier = _Linear(config.hidden_size, config.num_labels)


class ForQuestionAnswering(_WithHead):
    suffix = "ForQuestionAnswering"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, has_pooler=False)
        self.qa_outputs = _Linear(config.hidden_size, 2)


class _BertPredictions(nn.Module):
    """BERT's language modelling head: [M, H] -> [M, V]."""

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
        self.predictions = _BertPredictions(config)

    def forward(self, hidden_MH: Tensor) -> Tensor:
        words: Tensor = self.predictions(hidden_MH)
        return words


class _RobertaHead(nn.Module):
    """RoBERTa's language modelling head, always with GELU: [M, H] -> [M, V]."""

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
    suffix = "ForMaskedLM"

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


_CLASSES: dict[str, Any] = {
    "AutoModel": _Encoder,
    "AutoModelForSequenceClassification": ForSequenceClassification,
    "AutoModelForMultipleChoice": ForMultipleChoice,
    "AutoModelForTokenClassification": ForTokenClassification,
    "AutoModelForQuestionAnswering": ForQuestionAnswering,
    "AutoModelForMaskedLM": ForMaskedLM,
}
