"""Reads configurations and tokenizers of model folders, which may be untrusted.

The only place that does: nothing in a folder is executed, no pickle is opened, nothing outside is read, and
whatever is wrong with a file is a ModelError that names it.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import BeforeValidator, Field

from bertune.errors import BertuneError, DamagedError, ModelError, listed
from bertune.files import MOST_JSON, read_bytes, read_object
from bertune.manifest import Record, checked

INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
HEAD_FILE = "head.safetensors"  # the weights of a custom head
_TOKENIZER_SETTINGS = "tokenizer_config.json"
# Without any of these transformers makes up a vocabulary in which every word is unknown.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")
_SIZES = re.compile(r"(^|_)(size|dim|layers?|heads?|positions?|embeddings|labels)(_|$)|^(num|n|d)_")
_MOST = 10**8  # of any size in a configuration: a vocabulary of 10**6 tokens and 10**6 positions exist
_MOST_LAYERS = 10_000  # of layers and heads; building more would take longer than anybody waits
_RARE = "\U0010ffff"  # a character that no vocabulary has
_UNUSED = ("dtype", "torch_dtype", "attn_implementation", "_attn_implementation")  # bertune decides on these


class _ConfigFile(Record):
    """The keys of `config.json` that must be right for anything to work, whatever the family."""

    model_type: str
    hidden_act: str | None = None
    id2label: dict[str, str] | None = None
    label2id: dict[str, int] | None = None
    pad_token_id: int | None = Field(None, ge=0)
    problem_type: str | None = None


class _IndexFile(Record):
    """Which file holds which tensor, where weights are in several files."""

    weight_map: dict[str, str]


def _content(token: object) -> object:
    return token.get("content") if isinstance(token, dict) else token


_Token = Annotated[str | None, BeforeValidator(_content)]


class TokenizerSettings(Record):
    """What bertune needs of `tokenizer_config.json`."""

    truncation_side: Literal["left", "right"] = "right"  # where a text that is too long is cut
    model_max_length: float = Field(1e30, gt=0)  # tokens; this large where it is not known
    mask_token: _Token = None
    unk_token: _Token = None


@dataclass(frozen=True)
class TokenizerFiles:
    """What a folder has of a tokenizer."""

    rust: Any  # tokenizers.Tokenizer: the content of tokenizer.json
    settings: TokenizerSettings
    save: Callable[[str], object]  # writes all of it into a folder, in the Hugging Face layout


@contextlib.contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Turns whatever transformers and tokenizers raise about a stranger's files into a ModelError."""
    try:
        yield
    except (BertuneError, MemoryError):
        raise
    except Exception as error:  # tokenizers raises plain Exception, and transformers many types
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise
        said = str(error).strip().splitlines()
        reason = said[0][:200] if said else type(error).__name__
        raise ModelError(f"{what} ({reason})") from error


def load_config(folder: Path) -> Any:
    """The Hugging Face configuration of a model folder, its values checked. Raises ModelError."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    refuse_special_files(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no config.json. Expected a Hugging Face model folder (config.json, *.safetensors, "
            "tokenizer files); give another one"
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
            f"{path}: the weights are quantized (quantization_config), and bertune reads plain weights only. "
            "Use the model that they were quantized from"
        )
    with _damage_named():
        checked(_ConfigFile, content, path)
    _check_sizes(content, path)
    plain = {key: value for key, value in content.items() if key not in (*_UNUSED, "auto_map")}
    with library_errors(f"{path} cannot be used"):
        config = CONFIG_MAPPING[family].from_dict(plain)
        config._name_or_path = str(folder)
    _check_config(config, path)
    return config


def load_tokenizer(folder: Path, config: Any) -> TokenizerFiles:
    """The tokenizer of any Hugging Face folder; its configuration is None where the folder has none.

    Raises ModelError, also where the model has fewer tokens than the tokenizer.
    """
    from transformers import AutoTokenizer

    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has no vocabulary: it needs tokenizer.json, or vocab.txt beside a config.json that "
            "names the model_type"
        )
    settings_path = folder / _TOKENIZER_SETTINGS
    if settings_path.is_file():
        _check_tokenizer_settings(settings_path)
    needs = "It needs tokenizer.json, or vocab.txt beside a config.json that names the model_type"
    with library_errors(f"the tokenizer in {folder} cannot be read. {needs}"):
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, trust_remote_code=False, local_files_only=True
        )
        is_fast = tokenizer.is_fast
        if is_fast:  # a vocabulary without the token for unknown words fails only when one comes
            tokenizer.backend_tokenizer.encode(_RARE)
    if not is_fast:
        raise ModelError(
            f"the tokenizer in {folder} has no fast (Rust) version, which bertune needs; convert it to "
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
    """The tokenizer that bertune wrote into a model folder. Raises ModelError.

    The folder has what transformers made of the pretrained files, so all of it is read without transformers.
    """
    from tokenizers import Tokenizer

    refuse_special_files(folder)
    path, settings_path = folder / TOKENIZER, folder / _TOKENIZER_SETTINGS
    for needed in (path, settings_path):
        if not needed.is_file():
            raise ModelError(f"{needed} is missing: put back a copy of the folder, or train again")
    _check_tokenizer_settings(settings_path)
    with _damage_named():
        settings = checked(TokenizerSettings, read_object(settings_path), settings_path)
    with library_errors(f"{path} cannot be read"):
        rust = Tokenizer.from_file(str(path))
        rust.encode(_RARE)
    return TokenizerFiles(rust, settings, _Copied(rust, read_bytes(settings_path)))


@dataclass(frozen=True)
class _Copied:
    """Saves a tokenizer as it was read. A class, because a function inside another cannot be pickled."""

    rust: Any
    settings: bytes  # tokenizer_config.json

    def __call__(self, into: str) -> None:
        write_tokenizer(Path(into), self.rust)
        (Path(into) / _TOKENIZER_SETTINGS).write_bytes(self.settings)


def write_tokenizer(folder: Path, rust: Any) -> None:
    """Writes tokenizer.json. Not by the Rust writer, for which a full disk is a bare Exception."""
    (folder / TOKENIZER).write_text(rust.to_str(pretty=True), encoding="utf-8")


def refuse_more_tokens(folder: Path, rust: Any, vocab_size: int) -> None:
    """Raises ModelError where a tokenizer has more tokens than its model."""
    num_tokens = rust.get_vocab_size(with_added_tokens=True)
    if num_tokens > vocab_size:
        raise ModelError(
            f"{folder}: the tokenizer has {num_tokens:,} tokens, but config.json says vocab_size "
            f"{vocab_size:,}. Use the tokenizer files and config.json of the same model"
        )


def refuse_special_files(folder: Path) -> None:
    """Raises ModelError for a FIFO, a device or a JSON file that would fill the memory in a model folder."""
    for path in folder.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(f"{path} is not a regular file. Remove it, or get the folder again")
        if path.suffix == ".json" and path.is_file() and path.stat().st_size > MOST_JSON:
            size = MOST_JSON / 2**20
            raise ModelError(f"{path} is larger than {size:,.0f} MiB, so it is damaged. Get the folder again")


def check_weight_files(folder: Path) -> None:
    """Raises ModelError where weights would be read from a pickle, or from outside the folder."""
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        raise ModelError(
            f"{adapter}: this folder holds an adapter, which needs a base model from elsewhere. Merge it "
            "into its base model first (peft: merge_and_unload) and save that"
        )
    index = folder / INDEX
    if not index.is_file():
        return
    with _damage_named():
        names = checked(_IndexFile, read_object(index), index).weight_map.values()
    unsafe = sorted({name for name in names if not _PLAIN_NAME.fullmatch(name)})
    if unsafe:
        raise ModelError(
            f"{index} names {listed([repr(name) for name in unsafe])}; bertune reads only *.safetensors "
            "files inside the folder, because other formats can run code"
        )
    missing = sorted({name for name in names if not (folder / name).is_file()})
    if missing:
        raise ModelError(
            f"{index} lists weight files that are missing: {listed(missing)}. Download the complete folder "
            "again"
        )


def _read(path: Path) -> dict[str, Any]:
    with _damage_named():
        return read_object(path)


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except DamagedError as error:
        raise ModelError(str(error)) from error


def _needs_code(path: Path, named: object) -> ModelError:
    code = ", ".join(map(str, named.values())) if isinstance(named, dict) else str(named)
    return ModelError(
        f"{path} asks for code of its own (auto_map: {code[:80]}), and bertune never runs code from a model "
        "folder. Use a model whose family transformers has built in"
    )


def _check_tokenizer_settings(path: Path) -> None:
    content = _read(path)
    auto_map = content.get("auto_map")
    if not auto_map:
        return
    name = content.get("tokenizer_class")
    if isinstance(auto_map, dict) and "AutoTokenizer" not in auto_map:
        return
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
        if not -1 <= value <= most:  # -1: not used, as in DeBERTa's max_relative_positions
            raise ModelError(f"{path}: {key} is {value!r}; expected at most {most:,}")


def _check_config(config: Any, path: Path) -> None:
    """Raises ModelError for values that no encoder can have, or that no memory could hold."""
    from transformers.activations import ACT2FN

    if getattr(config, "vocab_size", None) is None:
        raise ModelError(
            f"{path}: {config.model_type} has no vocabulary of its own; bertune trains encoders of text"
        )
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
        value = getattr(config, key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{path}: {key} is {value!r}; expected a positive integer")
    for key in ("intermediate_size", "max_position_embeddings", "embedding_size"):
        value = getattr(config, key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ModelError(f"{path}: {key} is {value!r}; expected a positive integer")
    if config.is_encoder_decoder:
        raise ModelError(
            f"{path}: {config.model_type} is an encoder-decoder model; bertune supports encoders like BERT"
        )
    pad, vocabulary = getattr(config, "pad_token_id", None), getattr(config, "vocab_size", None)
    if pad is not None and vocabulary is not None and pad >= vocabulary:
        raise ModelError(
            f"{path}: pad_token_id is {pad:,}; expected a token id below vocab_size ({vocabulary:,})"
        )
    activation = getattr(config, "hidden_act", None)
    if activation is not None and activation not in ACT2FN:
        raise ModelError(f'{path}: hidden_act is "{activation}"; expected one of transformers, such as gelu')
    num_bytes = 4 * _num_parameters(config)
    if num_bytes > psutil.virtual_memory().total:
        raise ModelError(
            f"{path} describes a model of {num_bytes / 2**30:,.0f} GiB, more than this machine's memory: "
            "config.json is damaged, or the model is too large. Download it again, or use a smaller model"
        )


def _num_parameters(config: Any) -> int:
    """About how many parameters a Transformer of these sizes has."""
    hidden = getattr(config, "hidden_size", 1)
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    embedding = getattr(config, "embedding_size", None) or hidden
    rows = getattr(config, "vocab_size", 1) + (getattr(config, "max_position_embeddings", None) or 0)
    layer = 4 * hidden * hidden + 2 * hidden * inner
    return int(rows * embedding + getattr(config, "num_hidden_layers", 1) * layer)
