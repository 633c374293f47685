"""Read configurations and tokenizers of model folders, which may be untrusted. Only this module reads them.

Nothing in a folder is executed, no pickle is opened and no file outside it is read, and every problem with a
file is a ModelError that names the file.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bertune.errors import BertuneError, DamagedError, ModelError, listed
from bertune.files import MOST_JSON, read_bytes, read_object, shown_path
from bertune.optional_packages import needs
from bertune.record import Record, checked

INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
HEAD_FILE = "head.safetensors"  # the weights of a custom head
TOKENIZER_SETTINGS = "tokenizer_config.json"
# Without any of these, transformers creates a vocabulary in which every word is unknown.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")
_SIZES = re.compile(r"(^|_)(size|dim|layers?|heads?|positions?|embeddings|labels)(_|$)|^(num|n|d)_")
_MOST = (
    10**8
)  # maximum of any size in a configuration; vocabularies of 10**6 tokens exist, and 10**6 positions
_MOST_LAYERS = 10_000  # maximum of layers and heads; building more would take too long
_POSITIONS_AFTER_PADDING = {
    "roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text", "xmod",
    "ibert", "luke", "lilt", "mpnet", "longformer",
}  # fmt: skip
_UNLIMITED = 100_000  # tokens, for architectures and tokenizers without a limit
RARE = "\U0010ffff"  # a character that is in no vocabulary
_ADVICE = "Restore the folder from a copy or download it again, or use another model"
_UNUSED = ("dtype", "torch_dtype", "attn_implementation", "_attn_implementation")  # set by bertune


class _ConfigFile(Record):
    """The keys of `config.json` that must be valid for every model family."""

    model_type: str
    hidden_act: str | None = None
    id2label: dict[str, str] | None = None
    label2id: dict[str, int] | None = None
    pad_token_id: int | None = Field(None, ge=0)
    problem_type: str | None = None


class _IndexFile(Record):
    """The file of each tensor, for weights in several files."""

    weight_map: dict[str, str]


def _content(token: object) -> object:
    return token.get("content") if isinstance(token, dict) else token


_Token = Annotated[str | None, BeforeValidator(_content)]


class TokenizerSettings(Record):
    """The entries of `tokenizer_config.json` that bertune uses."""

    truncation_side: Literal["left", "right"] = "right"  # side at which long texts are truncated
    model_max_length: float = Field(1e30, gt=0)  # tokens; the default means unknown
    mask_token: _Token = None
    unk_token: _Token = None


@dataclass(frozen=True)
class TokenizerFiles:
    """The tokenizer of a model folder."""

    rust: Any  # tokenizers.Tokenizer: the content of tokenizer.json
    settings: TokenizerSettings
    save: Callable[[str], object]  # writes the tokenizer files to a folder, in the Hugging Face layout


@contextlib.contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Turn any error that transformers or tokenizers raise for untrusted files into a ModelError."""
    try:
        yield
    except (BertuneError, MemoryError):
        raise
    except Exception as error:  # tokenizers raises plain Exception, and transformers many types
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise
        lines = str(error).strip().splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        raise ModelError(f"{what} ({reason}). {_ADVICE}") from error


def load_config(folder: Path) -> Any:
    """Load and validate the Hugging Face configuration of a model folder. Raises ModelError."""
    folder = Path(shown_path(folder))
    with needs("transformers", f"to read {folder / 'config.json'}"):
        return _load_config(folder)


def _load_config(folder: Path) -> Any:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    refuse_special_files(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no config.json. Expected a Hugging Face model folder (config.json, *.safetensors, "
            "tokenizer files). Use another folder"
        )
    content = _read(path)
    family = content.get("model_type")
    if not isinstance(family, str):
        raise ModelError(
            f'{path}: model_type is {family!r}; expected a model family such as "bert". Add it, or download '
            "config.json again"
        )
    if family not in CONFIG_MAPPING:
        if "auto_map" in content:
            raise _needs_code(path, content["auto_map"])
        raise ModelError(
            f'{path}: the installed transformers does not know model_type "{family}". Upgrade transformers, '
            "or use another model"
        )
    if "quantization_config" in content:
        raise ModelError(
            f"{path}: the weights are quantized (quantization_config), which bertune does not support. "
            "Use the original, unquantized model"
        )
    with _damage_as_model_error():
        checked(_ConfigFile, content, path)
    _check_sizes(content, path)
    plain = {key: value for key, value in content.items() if key not in (*_UNUSED, "auto_map")}
    with library_errors(f"{path} cannot be used"):
        config = CONFIG_MAPPING[family].from_dict(plain)
        config._name_or_path = str(folder)
    _check_config(config, path)
    return config


def length_limit(config: Any) -> int | None:
    """The maximum tokens of a text, or None if the architecture has no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None:
        return None
    # RoBERTa numbers positions from the padding index + 1, so its first rows are not used for tokens.
    offset = config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0
    return int(limit) - offset


def most_tokens(config: Any, tokenizer_limit: int) -> int:
    """The maximum tokens of a sequence for an encoder and its tokenizer, including special tokens."""
    return min(length_limit(config) or _UNLIMITED, tokenizer_limit)


def load_tokenizer(folder: Path, config: Any) -> TokenizerFiles:
    """Load the tokenizer of any Hugging Face folder; `config` is None if the folder has no configuration.

    Raises ModelError, also if the tokenizer has more tokens than the model.
    """
    folder = Path(shown_path(folder))
    with needs("transformers", f"to read the tokenizer in {folder}"):
        from transformers import AutoTokenizer

    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has no vocabulary. Expected tokenizer.json, or vocab.txt and a config.json with "
            "model_type"
        )
    settings_path = folder / TOKENIZER_SETTINGS
    if settings_path.is_file():
        _check_tokenizer_settings(settings_path)
    expected = "Expected tokenizer.json, or vocab.txt and a config.json with model_type"
    with library_errors(f"the tokenizer in {folder} cannot be read. {expected}"):
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, trust_remote_code=False, local_files_only=True
        )
        is_fast = tokenizer.is_fast
        if is_fast:  # a vocabulary without an unknown token fails only at the first unknown word
            tokenizer.backend_tokenizer.encode(RARE)
    if not is_fast:
        raise ModelError(
            f"the tokenizer in {folder} has no fast (Rust) version, which bertune requires. Convert it to "
            "tokenizer.json"
        )
    if config is not None:
        refuse_more_tokens(folder, tokenizer.backend_tokenizer, config.vocab_size)
    settings = TokenizerSettings(
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
        mask_token=tokenizer.mask_token,
        unk_token=tokenizer.unk_token,
    )
    return TokenizerFiles(tokenizer.backend_tokenizer, settings, tokenizer.save_pretrained)


def load_saved_tokenizer(folder: Path) -> TokenizerFiles:
    """Load the tokenizer that bertune saved in a model folder. Raises ModelError.

    transformers has already converted the pretrained files, so they can be read without it.
    """
    from tokenizers import Tokenizer

    refuse_special_files(folder)
    path, settings_path = folder / TOKENIZER, folder / TOKENIZER_SETTINGS
    for needed in (path, settings_path):
        if not needed.is_file():
            raise ModelError(f"{needed} is missing. Restore the folder from a copy, or train again")
    _check_tokenizer_settings(settings_path)
    with _damage_as_model_error():
        settings = checked(TokenizerSettings, read_object(settings_path), settings_path)
    with library_errors(f"{path} cannot be read"):
        rust = Tokenizer.from_file(str(path))
        rust.encode(RARE)
    return TokenizerFiles(rust, settings, SavedTokenizer(rust, read_bytes(settings_path)))


@dataclass(frozen=True)
class SavedTokenizer:
    """Saves a tokenizer unchanged. A class, because a nested function cannot be pickled."""

    rust: Any
    settings: bytes  # tokenizer_config.json

    def __call__(self, into: str) -> None:
        write_tokenizer(Path(into), self.rust)
        (Path(into) / TOKENIZER_SETTINGS).write_bytes(self.settings)


def write_tokenizer(folder: Path, rust: Any) -> None:
    """Write tokenizer.json, not with the Rust writer, which reports a full disk as a plain Exception."""
    (folder / TOKENIZER).write_text(rust.to_str(pretty=True), encoding="utf-8")


def write_max_length(folder: Path, max_length: int) -> None:
    """Set the length in tokens at which transformers truncates, in a saved tokenizer_config.json."""
    path = folder / TOKENIZER_SETTINGS
    content = json.loads(path.read_bytes())
    content["model_max_length"] = max_length
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def refuse_more_tokens(folder: Path, rust: Any, vocab_size: int) -> None:
    """Raise ModelError if a tokenizer has more tokens than its model."""
    num_tokens = rust.get_vocab_size(with_added_tokens=True)
    if num_tokens > vocab_size:
        raise ModelError(
            f"{folder}: the tokenizer has {num_tokens:,} tokens, but vocab_size in config.json is "
            f"{vocab_size:,}. Use the tokenizer files and config.json of the same model"
        )


def refuse_special_files(folder: Path) -> None:
    """Raise ModelError for a FIFO, a device or an oversized JSON file in a model folder."""
    for path in folder.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(f"{path} is not a regular file. Remove it, or download the folder again")
        if path.suffix == ".json" and path.is_file() and path.stat().st_size > MOST_JSON:
            size = MOST_JSON / 2**20
            raise ModelError(
                f"{path} is larger than {size:,.0f} MiB, so it is damaged. Download the folder again"
            )


def check_weight_files(folder: Path) -> None:
    """Raise ModelError if weights would be read from a pickle or from outside the folder."""
    folder = Path(shown_path(folder))
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        raise ModelError(
            f"{adapter}: this folder holds an adapter without its base model. Merge the adapter into "
            "its base model (peft: merge_and_unload) and save the result"
        )
    index = folder / INDEX
    if not index.is_file():
        return
    with _damage_as_model_error():
        names = checked(_IndexFile, read_object(index), index).weight_map.values()
    unsafe = sorted({name for name in names if not _PLAIN_NAME.fullmatch(name)})
    if unsafe:
        raise ModelError(
            f"{index} refers to {listed([repr(name) for name in unsafe])}. bertune reads only *.safetensors "
            "files inside the folder, because other formats can run code"
        )
    missing = sorted({name for name in names if not (folder / name).is_file()})
    if missing:
        raise ModelError(
            f"{index} lists weight files that are missing: {listed(missing)}. Download the complete folder "
            "again"
        )


def _read(path: Path) -> dict[str, Any]:
    with _damage_as_model_error():
        return read_object(path)


@contextlib.contextmanager
def _damage_as_model_error() -> Iterator[None]:
    try:
        yield
    except DamagedError as error:
        raise ModelError(f"{error}. {_ADVICE}") from error


def _needs_code(path: Path, named: object) -> ModelError:
    code = ", ".join(map(str, named.values())) if isinstance(named, dict) else str(named)
    return ModelError(
        f"{path} requires custom code (auto_map: {code[:80]}), and bertune never runs code from a model "
        "folder. Use a model of a family that is built into transformers"
    )


def _check_tokenizer_settings(path: Path) -> None:
    content = _read(path)
    auto_map = content.get("auto_map")
    if not auto_map:
        return
    name = content.get("tokenizer_class")
    if isinstance(auto_map, dict) and "AutoTokenizer" not in auto_map:
        return
    with needs("transformers", f"to read {path}"):
        from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    with library_errors(f"{path} cannot be used"):
        known = isinstance(name, str) and tokenizer_class_from_name(name) is not None
    if not known:
        raise _needs_code(path, auto_map)


def _check_sizes(content: dict[str, Any], path: Path) -> None:
    for key, value in content.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _SIZES.search(key):
            continue
        most = _MOST_LAYERS if "layers" in key or "heads" in key else _MOST
        if not -1 <= value <= most:  # -1 means unused, as in DeBERTa's max_relative_positions
            raise ModelError(f"{path}: {key} must be at most {most:,}, got {value!r}")


def _check_config(config: Any, path: Path) -> None:
    """Raise ModelError for values that are invalid or describe a model larger than the memory."""
    import psutil
    from transformers.activations import ACT2FN

    if getattr(config, "vocab_size", None) is None:
        raise ModelError(
            f"{path}: {config.model_type} has no vocabulary. bertune supports text encoders only"
        )
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
        value = getattr(config, key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{path}: {key} must be a positive integer, got {value!r}")
    for key in ("intermediate_size", "max_position_embeddings", "embedding_size"):
        value = getattr(config, key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ModelError(f"{path}: {key} must be a positive integer, got {value!r}")
    if config.is_encoder_decoder:
        raise ModelError(
            f"{path}: {config.model_type} is an encoder-decoder model; bertune supports encoders only"
        )
    pad, vocabulary = getattr(config, "pad_token_id", None), getattr(config, "vocab_size", None)
    if pad is not None and vocabulary is not None and pad >= vocabulary:
        raise ModelError(
            f"{path}: pad_token_id must be a token ID below vocab_size ({vocabulary:,}), got {pad:,}"
        )
    activation = getattr(config, "hidden_act", None)
    if activation is not None and activation not in ACT2FN:
        raise ModelError(
            f'{path}: hidden_act must be an activation of transformers such as gelu, got "{activation}"'
        )
    num_bytes = 4 * _num_parameters(config)
    if num_bytes > psutil.virtual_memory().total:
        raise ModelError(
            f"{path} describes a model of {num_bytes / 2**30:,.0f} GiB, more than this machine's memory: "
            "config.json is damaged, or the model is too large. Download it again, or use a smaller model"
        )


def _num_parameters(config: Any) -> int:
    """The approximate number of parameters of a Transformer of these sizes."""
    hidden = getattr(config, "hidden_size", 1)
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    embedding = getattr(config, "embedding_size", None) or hidden
    rows = getattr(config, "vocab_size", 1) + (getattr(config, "max_position_embeddings", None) or 0)
    layer = 4 * hidden * hidden + 2 * hidden * inner
    return int(rows * embedding + getattr(config, "num_hidden_layers", 1) * layer)
