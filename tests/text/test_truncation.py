"""Truncation and windows equal those of the Rust tokenizer."""

import random
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from bertune.text.truncation import longest_first, owners_of
from bertune.text.windows import windows_over

WORDS = [f"w{number}" for number in range(50)]
VOCABULARY = {word: number for number, word in enumerate(["[CLS]", "[SEP]", "[UNK]", *WORDS])}
PROCESSORS = {
    "none": None,
    "bert": processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0)),
    "roberta": processors.RobertaProcessing(("[SEP]", 1), ("[CLS]", 0)),
    "template": processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    ),
}


def encoded(rust: Tokenizer, texts: list[str]) -> Any:
    """A text, or a pair."""
    return rust.encode(texts[0], texts[1] if len(texts) == 2 else None)


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_kept_tokens_equal_those_of_the_tokenizer(name: str) -> None:
    rust = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    if PROCESSORS[name] is not None:
        rust.post_processor = PROCESSORS[name]
    draw, num_cut, num_windows = random.Random(1), 0, 0
    for _ in range(600):
        texts = [" ".join(draw.choices(WORDS, k=draw.randrange(25))) for _ in range(draw.choice((1, 2, 2)))]
        max_length, side = draw.randrange(4, 40), draw.choice(("left", "right"))
        rust.no_truncation()
        whole = encoded(rust, texts)
        if len(whole) <= max_length:
            continue
        owners = owners_of(whole)
        rust.enable_truncation(max_length, strategy="longest_first", direction=side)
        kept = longest_first(owners, max_length, side)
        assert np.array(whole.ids)[kept].tolist() == encoded(rust, texts).ids
        num_cut += 1
        text = len(texts) - 1
        room = max_length - int((owners != text).sum())
        if room < 1:
            continue
        shared = draw.randrange(room)
        strategy = ("only_first", "only_second")[text]
        rust.enable_truncation(max_length, stride=shared, strategy=strategy)
        first = encoded(rust, texts)
        found = list(windows_over(np.flatnonzero(owners == text), len(owners), max_length, shared))
        for window, expected in zip(found, [first, *first.overflowing], strict=True):
            assert np.array(whole.ids)[window].tolist() == expected.ids
            assert np.array(whole.type_ids)[window].tolist() == expected.type_ids
            assert np.array(whole.offsets)[window].tolist() == [list(pair) for pair in expected.offsets]
            num_windows += 1
    assert num_cut > 200 and num_windows > 400
