"""Texts in a packed batch do not affect each other: the outputs stay the same bit for bit."""

import contextlib

import pytest
import torch
from families import (
    EQUAL_LENGTHS,
    PACKED,
    SEVERAL_GROUPS,
    UNEQUAL_LENGTHS,
    batch_for,
    standard,
    with_own_head,
)
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.nn.model import TextModel

LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS, (16, 16, 16, 16)]


def with_one_changed(batch: Batch, number: int) -> Batch:
    """The batch with all tokens of one text replaced."""
    start = int(batch.lengths_S[:number].sum())
    own = slice(start, start + int(batch.lengths_S[number]))
    ids_T, types_T = batch.ids_T.clone(), batch.types_T.clone()
    ids_T[own] = 103 - ids_T[own]
    types_T[own] = 1 - types_T[own]
    return Batch(ids_T, types_T, batch.lengths_S, batch.groups_S, batch.gold)


def seeded(model: TextModel, batch: Batch) -> Tensor:
    torch.manual_seed(5)
    with torch.no_grad():
        return model(batch)


def assert_texts_are_apart(model: TextModel, batch: Batch) -> None:
    num = len(batch.lengths_S)
    before = seeded(model, batch)
    for changed in range(num):
        after = seeded(model, with_one_changed(batch, changed))
        others = [i for i in range(num) if i != changed]
        assert torch.equal(after[others], before[others])
        assert not torch.equal(after[changed], before[changed])


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("in_training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", PACKED)
def test_changing_one_text_does_not_change_the_outputs_of_others(
    family: str, precision: str, in_training: bool, lengths: tuple[int, ...]
) -> None:
    is_bf16 = precision == "bf16"
    cast = torch.autocast("cpu", dtype=torch.bfloat16) if is_bf16 else contextlib.nullcontext()
    with cast:
        assert_texts_are_apart(standard(family).train(in_training), batch_for(family, lengths))


@pytest.mark.parametrize("family", PACKED)
def test_a_custom_head_keeps_texts_separate(family: str) -> None:
    more = {"dropout": 0.1} if family == "distilbert" else {"hidden_dropout_prob": 0.1}
    model = with_own_head(family, **more).train()
    assert_texts_are_apart(model, batch_for(family, UNEQUAL_LENGTHS))


@pytest.mark.parametrize("family", PACKED)
def test_the_gradient_of_a_text_does_not_reach_words_of_other_texts(family: str) -> None:
    model, lengths = standard(family).train(), (9, 4, 12, 3)
    batch = batch_for(family, lengths)
    ids_T = torch.arange(5, 5 + sum(lengths))  # all tokens differ
    outputs = model(Batch(ids_T, batch.types_T, batch.lengths_S, batch.groups_S, batch.gold))
    outputs[2].square().sum().backward()
    gradient = model.encoder.get_input_embeddings().weight.grad
    touched = gradient.abs().sum(1).nonzero().flatten().tolist()
    assert touched == list(range(5 + 13, 5 + 25))
