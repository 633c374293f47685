"""Masking: the share of masked tokens, whole-word masking, and restoring the original text."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bertune.errors import ModelError
from bertune.tasks.language_modelling.masking import IGNORE_INDEX, Masking, readable, unmasked, vocabulary_of
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

TEXT = "socks and shoes boxing, buying the clocks cases lamps very late this morning in my kitchen."


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Tokenizer:
    return Tokenizer.pretrained(tiny_weights)


def masking(tokenizer: Tokenizer, share: float = 0.15, whole_words: bool = False) -> Masking:
    return Masking(share, whole_words, vocabulary_of(tokenizer))


def masked_positions(sequence: Sequence) -> list[int]:
    assert isinstance(sequence.gold, np.ndarray)
    assert sequence.gold.dtype == np.int64 and len(sequence.gold) == len(sequence)
    return np.flatnonzero(sequence.gold != IGNORE_INDEX).tolist()


@pytest.mark.parametrize("whole_words", [False, True])
def test_the_original_text_can_be_restored(tokenizer: Tokenizer, whole_words: bool) -> None:
    (sequence,) = tokenizer.encode([(TEXT,)])
    random = np.random.default_rng(1)
    for _ in range(50):
        masked = masking(tokenizer, 0.4, whole_words).sample(sequence, random)
        assert unmasked(masked).tolist() == sequence.ids.tolist()
        untouched = np.setdiff1d(np.arange(len(sequence)), masked_positions(masked))
        assert (masked.ids[untouched] == sequence.ids[untouched]).all()


def test_masking_again_starts_from_the_original_text(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([(TEXT,)])
    random = np.random.default_rng(1)
    masked = sequence
    for _ in range(20):
        masked = masking(tokenizer).sample(masked, random)
    assert unmasked(masked).tolist() == sequence.ids.tolist()
    assert len(masked_positions(masked)) == round(0.15 * (len(sequence) - 2))


def test_tokens_are_chosen_uniformly_and_replaced_in_the_proportions_of_the_paper(
    tokenizer: Tokenizer,
) -> None:
    (sequence,) = tokenizer.encode([(TEXT,)])
    random, this = np.random.default_rng(3), masking(tokenizer, 0.5)
    positions: Counter[int] = Counter()
    shown: Counter[str] = Counter()
    draws = 2000
    for _ in range(draws):
        masked = this.sample(sequence, random)
        for position in masked_positions(masked):
            positions[position] += 1
            seen = masked.ids[position]
            kind = "mask" if seen == this.vocabulary.mask else "other"
            shown["same" if seen == sequence.ids[position] else kind] += 1
    assert set(positions) == set(range(1, len(sequence) - 1)), "neither [CLS] nor [SEP]"
    counts = np.array(list(positions.values()))
    assert counts.min() > 0.9 * draws / 2 and counts.max() < 1.1 * draws / 2
    total = sum(shown.values())
    assert shown["mask"] / total == pytest.approx(0.8, abs=0.01)
    assert shown["other"] / total == pytest.approx(0.1, abs=0.01)


def test_random_words_are_never_special_tokens(tokenizer: Tokenizer) -> None:
    ordinary = set(vocabulary_of(tokenizer).ordinary.tolist())
    assert not ordinary & set(tokenizer.special_ids)
    assert len(ordinary) == tokenizer.num_ids - len(tokenizer.special_ids)


def test_all_tokens_of_a_word_are_masked_or_none(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([(TEXT,)])
    tokens = tokenizer.tokens(sequence.ids)
    assert any(token.startswith("##") for token in tokens)
    random, this = np.random.default_rng(5), masking(tokenizer, 0.4, whole_words=True)
    was_masked = 0
    for _ in range(100):
        chosen = set(masked_positions(this.sample(sequence, random)))
        assert len(chosen) <= round(0.4 * (len(sequence) - 2))
        for position, token in enumerate(tokens):
            if token.startswith("##"):
                assert (position in chosen) == (position - 1 in chosen)
                was_masked += position in chosen
    assert was_masked


def test_a_text_of_one_long_word_is_masked(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("boxing",)])
    masked = masking(tokenizer, whole_words=True).sample(sequence, np.random.default_rng(1))
    assert masked_positions(masked) == [1, 2]


def test_at_least_one_token_of_a_short_text_is_masked(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("lamp",)])
    assert masked_positions(masking(tokenizer).sample(sequence, np.random.default_rng(1))) == [1]


def test_unknown_words_can_be_masked(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("☃",)])
    assert sequence.ids.tolist()[1] == tokenizer.unknown_id
    assert masked_positions(masking(tokenizer).sample(sequence, np.random.default_rng(1))) == [1]


def test_a_text_without_tokens_has_no_masks(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("",)])
    for whole_words in (False, True):
        assert (
            masked_positions(masking(tokenizer, 0.15, whole_words).sample(sequence, np.random.default_rng(1)))
            == []
        )


def test_fixed_masks_depend_only_on_the_text(tokenizer: Tokenizer) -> None:
    first, second = tokenizer.encode([(TEXT,), ("the lamp was late",)])
    this = masking(tokenizer)
    expected = this.fixed(second)
    this.fixed(first)
    again = this.fixed(second)
    assert again.ids.tolist() == expected.ids.tolist()
    assert masked_positions(again) == masked_positions(expected)
    assert this.fixed(first).ids.tolist() != this.sample(first, np.random.default_rng(0)).ids.tolist()


def test_only_masks_in_the_text_have_gold(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("the [MASK] was very [MASK]",)])
    given = masking(tokenizer).as_given(sequence)
    assert given.ids.tolist() == sequence.ids.tolist()
    assert masked_positions(given) == [2, 5]


def test_masks_in_the_text_are_not_trained_on(tokenizer: Tokenizer) -> None:
    (sequence,) = tokenizer.encode([("the [MASK] was very late",)])
    this = masking(tokenizer, 0.9)
    masked = this.sample(this.as_given(sequence), np.random.default_rng(1))
    assert masked_positions(masked) and 2 not in masked_positions(masked)
    assert unmasked(masked).tolist() == sequence.ids.tolist()


def test_byte_level_words_begin_after_a_space(tmp_path: Path) -> None:
    tokenizer = byte_level(tmp_path)
    (sequence,) = tokenizer.encode([("low lower low",)])
    continues = vocabulary_of(tokenizer).continues[sequence.ids]
    assert [readable(tokenizer, int(i)) for i in sequence.ids] == ["low", " low", "er", " low"]
    # The first token has no leading space, but begins a word because it is the first.
    assert continues.tolist()[1:] == [False, True, False]
    masked = masking(tokenizer, 0.5, whole_words=True).sample(sequence, np.random.default_rng(1))
    assert (1 in masked_positions(masked)) == (2 in masked_positions(masked))


def test_a_tokenizer_without_a_mask_token_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no mask token"):
        vocabulary_of(byte_level(tmp_path, mask=None))


def byte_level(folder: Path, mask: str | None = "<mask>") -> Tokenizer:
    from tokenizers import Tokenizer as Rust
    from tokenizers import decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<mask>", "l", "o", "w", "e", "r", "Ġ", "lo", "low", "Ġlow", "er"]
    merges = [("l", "o"), ("lo", "w"), ("Ġ", "low"), ("e", "r")]
    rust = Rust(models.BPE({word: i for i, word in enumerate(words)}, merges, unk_token="<unk>"))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=rust, unk_token="<unk>", mask_token=mask).save_pretrained(folder)
    return Tokenizer.pretrained(folder)
