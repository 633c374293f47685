"""Read config.json of common encoder families without transformers, which takes seconds to import.

The values are exactly those that transformers would read. For other configurations the result is None, and
the caller uses transformers.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertune.errors import BertuneError, ConfigError, counted
from bertune.files import read_object
from bertune.hugging_face import refuse_special_files

# Families whose configurations use BERT's names, with the default padding token ID of each.
_PADDING = {"bert": 0, "roberta": 1, "xlm-roberta": 1, "camembert": 1}
# Sizes with the maximum read here; `hugging_face.load_config` validates larger ones.
_MOST = {
    "vocab_size": 10**6,
    "hidden_size": 4096,
    "num_hidden_layers": 48,
    "num_attention_heads": 64,
    "intermediate_size": 16384,
    "max_position_embeddings": 10**5,
    "type_vocab_size": 16,
}
_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
_ACTIVATIONS = ("gelu", "relu")  # identical to the torch functions of the same name


# What transformers adds to a configuration that does not mention it.
_DEFAULTS: dict[str, Any] = {
    "add_cross_attention": False,
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": None,
    "classifier_dropout": None,
    "dtype": "float32",
    "eos_token_id": None,
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "is_decoder": False,
    "tie_word_embeddings": True,
    "use_cache": True,
}
_FAMILY_DEFAULTS = {"bos_token_id": 0, "eos_token_id": 2}  # shared by all families here except BERT
_NOT_SAVED = ("_name_or_path", "torch_dtype")
_CLASS_PREFIX = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}


class EncoderConfig:
    """A Hugging Face configuration with the same attributes, and the same config.json when it is saved."""

    model_type: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: str
    layer_norm_eps: float
    pad_token_id: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    classifier_dropout: float | None
    initializer_range: float
    architectures: list[str] | None
    problem_type: str | None
    id2label: dict[int, str]
    label2id: dict[str, int]

    def __init__(self, content: Mapping[str, Any]) -> None:
        """`content` is the content of config.json, whose values must have been checked."""
        family = content["model_type"]
        defaults = _DEFAULTS if family == "bert" else _DEFAULTS | _FAMILY_DEFAULTS
        vars(self).update({"architectures": None, "problem_type": None, **defaults, **content})
        vars(self).setdefault("pad_token_id", _PADDING[family])
        names = content.get("id2label")
        self.num_labels = 2 if names is None else len(names)
        if names is not None:
            self.id2label = {int(number): name for number, name in names.items()}
            self.label2id = dict(content["label2id"])

    @property
    def num_labels(self) -> int:
        """The number of outputs. Setting it resets the names of the labels, as in transformers."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, num: int) -> None:
        self.id2label = {number: f"LABEL_{number}" for number in range(num)}
        self.label2id = {name: number for number, name in self.id2label.items()}

    @property
    def class_prefix(self) -> str:
        """The first part of the names of the Hugging Face classes of the family, such as "Bert"."""
        return _CLASS_PREFIX[self.model_type]

    def to_json(self) -> str:
        """The content of config.json."""
        content = {key: value for key, value in vars(self).items() if key not in _NOT_SAVED}
        if content["problem_type"] is None:
            del content["problem_type"]
        if list(self.id2label.values()) == ["LABEL_0", "LABEL_1"]:
            del content["id2label"], content["label2id"]  # the default, which transformers leaves out
        content["dtype"] = "float32"
        content["transformers_version"] = importlib.metadata.version("transformers")
        return json.dumps(content, indent=2, sort_keys=True) + "\n"


def read_encoder_config(folder: Path) -> EncoderConfig | None:
    """Read the configuration of a model folder. None if only transformers can read or validate it."""
    refuse_special_files(folder)
    path = folder / "config.json"
    try:
        content = read_object(path) if path.is_file() else {}
    except BertuneError:
        return None
    family = content.get("model_type")
    if family not in _PADDING or content.get("position_embedding_type", "absolute") != "absolute":
        return None
    if any(
        content.get(key) for key in ("is_decoder", "add_cross_attention", "auto_map", "quantization_config")
    ):
        return None
    if not all(_is_size(content.get(key), most) for key, most in _MOST.items()):
        return None
    if content["hidden_size"] % content["num_attention_heads"]:
        return None
    if not (_are_labels(content) and all(_is_dropout(content.get(key)) for key in _DROPOUTS)):
        return None
    epsilon, padding = content.get("layer_norm_eps"), content.get("pad_token_id", _PADDING[family])
    if not isinstance(epsilon, float) or content.get("hidden_act") not in _ACTIVATIONS:
        return None
    if padding != 0 and not _is_size(padding, content["vocab_size"] - 1):
        return None
    return EncoderConfig(content)


def refuse_missing_layers(freeze: int, num_layers: int) -> None:
    """Raise ConfigError if more layers are to be frozen (`train.freeze`) than the encoder has."""
    if freeze > num_layers:
        raise ConfigError(
            f"train.freeze={freeze}: this encoder has only {counted(num_layers, 'layer')}. Set it to "
            f"{num_layers} or less, or set train.freeze=encoder to freeze the whole encoder"
        )


def _is_size(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most


def _is_dropout(value: object) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    )


def _are_labels(content: dict[str, Any]) -> bool:
    """Whether id2label and label2id, if present, are consistent."""
    names, numbers = content.get("id2label"), content.get("label2id")
    if names is None and numbers is None:
        return True
    if not (isinstance(names, dict) and isinstance(numbers, dict)):
        return False
    return all(isinstance(name, str) for name in names.values()) and all(
        str(number) in names for number in numbers.values()
    )
