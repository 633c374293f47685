"""A tokenizer loaded without transformers equals that of transformers, which loads all others."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
import transformers

from bertune.hugging_face import load_tokenizer
from bertune.text.wordpiece import read_wordpiece

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "caf", "Caf", "中", *string.ascii_letters]
VOCABULARY = {word: n for n, word in enumerate([*WORDS, *(f"##{c}" for c in string.ascii_letters + "é")])}
TEXT = "Café 中文 a [MASK] xyz\x00, ABC"


def saved(folder: Path, **options: Any) -> Path:
    transformers.BertTokenizer(vocab=VOCABULARY, model_max_length=64, **options).save_pretrained(str(folder))
    return folder


def edited(path: Path, **changes: Any) -> None:
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
        {"truncation_side": "left"},
    ],
    ids=str,
)
def test_the_fast_path_equals_the_tokenizer_of_transformers(tmp_path: Path, options: dict[str, Any]) -> None:
    found, twin = read_wordpiece(saved(tmp_path, **options)), load_tokenizer(tmp_path, None)
    assert found is not None
    assert found.rust.to_str() == twin.rust.to_str()
    assert found.settings == twin.settings
    assert found.rust.encode(TEXT).ids == twin.rust.encode(TEXT).ids


def test_transformers_loads_the_saved_files(tmp_path: Path) -> None:
    found, given = read_wordpiece(saved(tmp_path / "given", do_lower_case=False)), tmp_path / "given"
    assert found is not None
    (tmp_path / "again").mkdir()
    found.save(str(tmp_path / "again"))
    names = sorted(path.name for path in given.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    one, other = (transformers.AutoTokenizer.from_pretrained(str(f)) for f in (given, tmp_path / "again"))
    assert one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
    assert one.special_tokens_map == other.special_tokens_map
    assert (one.model_max_length, one.padding_side) == (other.model_max_length, other.padding_side)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "DistilBertTokenizer"}),
        ("tokenizer_config.json", {"do_lower_case": False}),  # tokenizer.json lowercases
        ("tokenizer_config.json", {"mask_token": "[HOLE]"}),  # not in the vocabulary: transformers adds it
        ("tokenizer_config.json", {"extra_special_tokens": {"hole_token": "[HOLE]"}}),
        ("tokenizer_config.json", {"model_max_length": "long"}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}),
        ("tokenizer.json", {"post_processor": None}),
        ("tokenizer.json", {"added_tokens": []}),
    ],
    ids=str,
)
def test_other_tokenizers_are_left_to_transformers(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    edited(saved(tmp_path) / name, **changes)
    assert read_wordpiece(tmp_path) is None


def test_contradictory_files_are_left_to_transformers(tmp_path: Path) -> None:
    (saved(tmp_path) / "special_tokens_map.json").write_text('{"mask_token": "[PAD]"}')
    assert read_wordpiece(tmp_path) is None
    (tmp_path / "special_tokens_map.json").unlink()
    (tmp_path / "added_tokens.json").write_text('{"new": 99}')
    assert read_wordpiece(tmp_path) is None
