"""Load the WordPiece tokenizer of a BERT folder without transformers, which takes seconds to import.

transformers builds the tokenizer of such a folder from the vocabulary and the settings, and ignores the rest
of tokenizer.json. If the file holds exactly what transformers would build, it is loaded directly; otherwise
`hugging_face.load_tokenizer` loads it.
"""

import json
from pathlib import Path
from typing import Any

from bertune.errors import BertuneError
from bertune.files import read_object
from bertune.hugging_face import (
    RARE,
    TOKENIZER,
    TOKENIZER_SETTINGS,
    SavedTokenizer,
    TokenizerFiles,
    TokenizerSettings,
    library_errors,
    refuse_special_files,
)

_CLASSES = ("BertTokenizer", "BertTokenizerFast")
_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# Settings that change how transformers builds the tokenizer in ways that are not reproduced here.
_OTHERS = ("auto_map", "max_len", "extra_special_tokens", "additional_special_tokens", "split_special_tokens")


def read_wordpiece(folder: Path) -> TokenizerFiles | None:
    """The tokenizer in a folder; None if only transformers can load it or report what is wrong with it."""
    from tokenizers import Tokenizer

    refuse_special_files(folder)
    path, settings_path = folder / TOKENIZER, folder / TOKENIZER_SETTINGS
    if not (path.is_file() and settings_path.is_file()) or (folder / "added_tokens.json").exists():
        return None
    try:
        settings, spec = read_object(settings_path), read_object(path)
        named = _special_tokens(folder, settings)
        if named is None or not _is_as_built(spec, settings, named):
            return None
        with library_errors(f"{path} cannot be read"):
            rust = Tokenizer.from_file(str(path))
            rust.encode(RARE)
        found = TokenizerSettings(
            truncation_side=settings.get("truncation_side", "right"),
            model_max_length=settings.get("model_max_length", 1e30),
            mask_token=named["mask_token"],
            unk_token=named["unk_token"],
        )
    except (BertuneError, ValueError, TypeError, KeyError, AttributeError):
        return None  # unexpected content: transformers or `load_tokenizer` reports the problem
    # Every token by name, so that what is saved does not depend on defaults; no path of this machine.
    kept = {key: value for key, value in {**settings, **named}.items() if key != "name_or_path"}
    return TokenizerFiles(rust, found, SavedTokenizer(rust, json.dumps(kept, indent=2).encode()))


def _special_tokens(folder: Path, settings: dict[str, Any]) -> dict[str, str] | None:
    """The special tokens by name; None if the files disagree or the tokenizer has another class."""
    if settings.get("tokenizer_class") not in _CLASSES or any(settings.get(key) for key in _OTHERS):
        return None
    named = {key: _content(settings.get(key, default)) for key, default in _SPECIAL.items()}
    map_path = folder / "special_tokens_map.json"
    other = read_object(map_path) if map_path.is_file() else {}
    is_same = all(_content(value) == named.get(key) for key, value in other.items())
    return named if is_same and len(set(named.values())) == len(named) else None


def _is_as_built(spec: dict[str, Any], settings: dict[str, Any], named: dict[str, str]) -> bool:
    """Whether tokenizer.json equals what BertTokenizer builds from the vocabulary and the settings."""
    model, vocabulary = spec["model"], spec["model"]["vocab"]
    if not all(token in vocabulary for token in named.values()):
        return False
    others = {key: value for key, value in model.items() if key != "vocab"}
    return (
        others == _model(named["unk_token"])
        and spec["normalizer"] == _normalizer(settings)
        and spec["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and spec["decoder"] == {"type": "WordPiece", "prefix": "##", "cleanup": True}
        and spec["post_processor"] == _post_processor(vocabulary, named["cls_token"], named["sep_token"])
        and _are_plain(spec["added_tokens"], vocabulary, named)
        and _are_plain(_decoded(settings), vocabulary, named, or_none=True)
    )


def _model(unknown: str) -> dict[str, Any]:
    return {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }


def _normalizer(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
        "strip_accents": settings.get("strip_accents"),
        "lowercase": settings.get("do_lower_case", True),
    }


def _post_processor(vocabulary: dict[str, int], first: str, last: str) -> dict[str, Any]:
    def special(token: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [special(first, 0), text("A", 0), special(last, 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special(last, 1)],
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in (first, last)
        },
    }


def _decoded(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The added tokens of tokenizer_config.json in the format of tokenizer.json."""
    listed = settings.get("added_tokens_decoder") or {}
    return [{"id": int(number), **token} for number, token in listed.items()]


def _are_plain(
    tokens: list[dict[str, Any]], vocabulary: dict[str, int], named: dict[str, str], or_none: bool = False
) -> bool:
    """Whether the added tokens are exactly the special tokens, without stripping or normalization."""
    expected = [
        {
            "id": vocabulary[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in named.values()
    ]
    return (or_none and not tokens) or _sorted(tokens) == _sorted(expected)


def _sorted(tokens: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(token, sort_keys=True) for token in tokens)


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
