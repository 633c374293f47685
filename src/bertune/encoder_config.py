"""Read config.json of common encoder families without transformers, which takes seconds to import.

The values are exactly those that transformers would read. For other configurations the result is None, and
the caller uses transformers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.errors import BertuneError
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


@dataclass(frozen=True)
class EncoderConfig:
    """The values of a Hugging Face configuration used in tokenization, prediction and checks."""

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
    num_labels: int


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
    return EncoderConfig(
        model_type=family,
        hidden_act=content["hidden_act"],
        layer_norm_eps=epsilon,
        pad_token_id=padding,
        num_labels=_num_labels(content),
        **{key: int(content[key]) for key in _MOST},
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


def _num_labels(content: dict[str, Any]) -> int:
    names = content.get("id2label")
    return (
        len(names) if isinstance(names, dict) else 2
    )  # transformers writes no label names for the default of 2
