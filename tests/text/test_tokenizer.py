"""Texts are tokenized like in transformers, and removed tokens are counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaTokenizerFast

from bertune.errors import ModelError, ResourceError
from bertune.files import disk_errors
from bertune.nn.pretrained import find_pretrained
from bertune.text import tokenizer as module
from bertune.text.tokenizer import Tokenizer

SINGLES = [
    ("great phone",),
    ("it is the broken lamp of my office, very dull and noisy!",),
    ("",),
    ("unknownword phones sending",),
    ("so " * 70,),
]
PAIRS = [
    ("great phone", "bad day"),
    ("it is the broken lamp of my office , very dull", "no"),
    ("no", "it is the broken lamp of my office , very dull"),
    ("one two phone lamp chair table", "lens case door lock key wheel brake"),
    ("a " * 40, "the " * 43),
    ("", ""),
]


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Tokenizer:
    return Tokenizer.pretrained(tiny_weights)


@pytest.fixture(scope="module")
def reference(tiny_weights: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_weights)


def expected(reference: Any, texts: tuple[str, ...], max_length: int | None) -> tuple[list[int], list[int]]:
    cut = {"truncation": "longest_first", "max_length": max_length} if max_length else {}
    # As lists with one item, because an empty second text alone would be ignored.
    encoded = reference(*([text] for text in texts), return_token_type_ids=True, **cut)
    return encoded["input_ids"][0], encoded["token_type_ids"][0]


@pytest.mark.parametrize("max_length", [4, 5, 7, 8, 16, 64])
@pytest.mark.parametrize("texts", [SINGLES, PAIRS], ids=["singles", "pairs"])
def test_truncation_equals_longest_first_of_hugging_face(
    tokenizer: Tokenizer, reference: Any, texts: list[tuple[str, ...]], max_length: int
) -> None:
    for item, sequence in zip(texts, tokenizer.encode(texts, max_length), strict=True):
        ids, types = expected(reference, item, max_length)
        assert sequence.ids.tolist() == ids
        assert sequence.types.tolist() == types


@pytest.mark.parametrize("max_length", [4, 7, 16, None])
@pytest.mark.parametrize("texts", [SINGLES, PAIRS], ids=["singles", "pairs"])
def test_removed_tokens_are_counted(
    tokenizer: Tokenizer, reference: Any, texts: list[tuple[str, ...]], max_length: int | None
) -> None:
    for item, sequence in zip(texts, tokenizer.encode(texts, max_length), strict=True):
        whole, _ = expected(reference, item, None)
        assert len(sequence) + sequence.num_removed == len(whole)
        assert sequence.num_removed == (max(0, len(whole) - max_length) if max_length else 0)


@pytest.mark.parametrize("max_length", [None, 6])
def test_sequences_are_in_the_order_of_the_texts(tokenizer: Tokenizer, max_length: int | None) -> None:
    sequences = tokenizer.encode(SINGLES, max_length)
    assert [s.group for s in sequences] == list(range(len(SINGLES)))
    alone = [tokenizer.encode([item], max_length)[0].ids for item in SINGLES]
    for sequence, ids in zip(sequences, alone, strict=True):
        np.testing.assert_array_equal(sequence.ids, ids)


def test_the_second_text_of_a_pair_has_token_type_one(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("great phone", "very dull lamp")])
    # [CLS] great phone [SEP] very dull lamp [SEP]
    assert sequence.types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_single_text_has_only_token_type_zero(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("great phone",)])
    assert sequence.types.tolist() == [0, 0, 0, 0]


def test_an_empty_list_has_no_sequences(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([]) == []


def test_a_text_longer_than_the_model_allows_is_encoded_without_a_warning(
    tokenizer: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    (sequence,) = tokenizer.encode([("so " * 600,)])
    assert len(sequence) == 602
    assert capfd.readouterr() == ("", "")


def test_a_saved_tokenizer_gives_the_same_sequences(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    for again in (Tokenizer.saved(tmp_path, tokenizer.num_ids), Tokenizer.pretrained(tmp_path)):
        for before, after in zip(tokenizer.encode(PAIRS, 9), again.encode(PAIRS, 9), strict=True):
            assert before.ids.tolist() == after.ids.tolist()
            assert before.types.tolist() == after.types.tolist()


def roberta_folder(folder: Path) -> Path:
    """A RoBERTa tokenizer with a small vocabulary."""
    folder.mkdir()
    trainer = ByteLevelBPETokenizer(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator([text for (text,) in SINGLES], vocab_size=300, special_tokens=specials)
    trainer.save_model(str(folder))
    RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["words", "bytes", "minilm", "no mask"])
def test_a_saved_tokenizer_equals_that_of_transformers(kind: str, tiny_weights: Path, tmp_path: Path) -> None:
    folder = find_pretrained("minilm").folder if kind == "minilm" else tiny_weights
    if kind == "bytes":
        folder = roberta_folder(tmp_path / "bytes")
    elif kind == "no mask":
        folder = tmp_path / "no-mask"
        PreTrainedTokenizerFast(
            tokenizer_file=str(tiny_weights / "tokenizer.json"), unk_token="[UNK]", truncation_side="left"
        ).save_pretrained(folder)
    Tokenizer.pretrained(folder).save(tmp_path)
    twin = AutoTokenizer.from_pretrained(str(tmp_path))
    saved = Tokenizer.saved(tmp_path, len(twin))
    assert [saved.mask_id, saved.unknown_id] == [twin.mask_token_id, twin.unk_token_id]
    assert saved.files.settings.truncation_side == twin.truncation_side
    assert kind == "no mask" or saved.special_ids == sorted(twin.all_special_ids)
    assert saved.max_length == twin.model_max_length
    assert saved.tokens(range(len(twin))) == twin.convert_ids_to_tokens(list(range(len(twin))))
    for text in SINGLES:
        assert saved.encode([text])[0].ids.tolist() == twin(*text)["input_ids"]


def test_truncation_does_not_affect_later_texts(tokenizer: Tokenizer) -> None:
    before = [s.ids.tolist() for s in tokenizer.encode(SINGLES)]
    tokenizer.encode(SINGLES, 5)
    assert [s.ids.tolist() for s in tokenizer.encode(SINGLES)] == before


def test_vocab_txt_and_a_config_are_sufficient(tiny_folder: Path, tokenizer: Tokenizer) -> None:
    from_words = Tokenizer.pretrained(tiny_folder)
    assert from_words.encode(SINGLES)[1].ids.tolist() == tokenizer.encode(SINGLES)[1].ids.tolist()


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_a_folder_without_a_tokenizer_is_refused_with_the_expected_files(family: str, tmp_path: Path) -> None:
    # transformers would create a tokenizer in which every word is unknown.
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json, or vocab\.txt"):
        Tokenizer.pretrained(tmp_path)


def test_a_full_disk_is_reported_when_saving_a_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(ResourceError, match="no space left"), disk_errors(tmp_path):
            tokenizer.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def byte_level() -> Any:
    from tokenizers import Tokenizer as Rust
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    rust = Rust(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    rust.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    rust.train_from_iterator(
        (" ".join(item) for item in [*SINGLES, *PAIRS]),
        trainers.BpeTrainer(vocab_size=300, special_tokens=special),
    )
    rust.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return rust


def sentence_pieces() -> Any:
    from tokenizers import Tokenizer as Rust
    from tokenizers import models, pre_tokenizers, processors, trainers

    rust = Rust(models.Unigram())
    rust.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    rust.train_from_iterator(
        (" ".join(item) for item in [*SINGLES, *PAIRS]),
        trainers.UnigramTrainer(vocab_size=80, special_tokens=special, unk_token="<unk>"),
    )
    rust.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return rust


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("make", [byte_level, sentence_pieces])
@pytest.mark.parametrize("texts", [SINGLES, PAIRS], ids=["singles", "pairs"])
def test_other_kinds_of_tokenizers_equal_those_of_transformers(
    make: Any, texts: list[tuple[str, ...]], side: str, tmp_path: Path
) -> None:
    from transformers import PreTrainedTokenizerFast

    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    saved = PreTrainedTokenizerFast(tokenizer_object=make(), truncation_side=side, **names)
    # A file may define truncation and padding, which must not affect the results.
    saved.backend_tokenizer.enable_truncation(6)
    saved.backend_tokenizer.enable_padding(length=9)
    saved.save_pretrained(tmp_path)
    tokenizer = Tokenizer.pretrained(tmp_path)
    for max_length in (8, None):
        for item, sequence in zip(texts, tokenizer.encode(texts, max_length), strict=True):
            ids, types = expected(saved, item, max_length)
            assert (sequence.ids.tolist(), sequence.types.tolist()) == (ids, types)
            assert len(sequence) + sequence.num_removed == len(expected(saved, item, None)[0])


@pytest.mark.parametrize("limits", [(3, 10_000), (1000, 130), (1000, 1)])
def test_the_size_of_a_chunk_does_not_matter(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
) -> None:
    texts = SINGLES * 3
    whole, windows = tokenizer.encode(texts, 16), tokenizer.windows(texts, 16, 4)
    monkeypatch.setattr(module, "_CHUNK", limits[0])
    monkeypatch.setattr(module, "_CHUNK_CHARACTERS", limits[1])
    for found, kept in ((tokenizer.encode(texts, 16), whole), (tokenizer.windows(texts, 16, 4), windows)):
        assert [(s.group, s.num_removed, list(s.ids)) for s in found] == [
            (s.group, s.num_removed, list(s.ids)) for s in kept
        ]


@pytest.mark.parametrize("texts", [SINGLES, PAIRS], ids=["single", "pair"])
def test_a_single_text_is_tokenized_as_in_a_batch(tokenizer: Tokenizer, texts: list[tuple[str, ...]]) -> None:
    for item, other in zip(texts, tokenizer.encode(texts, 20), strict=True):
        [alone] = tokenizer.encode([item], 20)
        np.testing.assert_array_equal(alone.ids, other.ids)
        np.testing.assert_array_equal(alone.types, other.types)
        assert alone.num_removed == other.num_removed
