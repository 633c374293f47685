"""The packed forward pass agrees with the padded one and keeps texts separate."""

import copy
from collections.abc import Callable

import pytest
import torch
from families import (
    EQUAL_LENGTHS,
    NO_DROPOUT,
    PACKED,
    PADDED,
    SEVERAL_GROUPS,
    UNEQUAL_LENGTHS,
    assert_gradients_agree,
    batch_for,
    batch_of,
    gradients,
    one_by_one,
    standard,
    with_own_head,
)
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.nn.blocks import freeze
from bertune.nn.model import StandardModel

# In texts of one token, softmax is constant, so queries and keys have no gradient to compare.
LEARNING_LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS, (50,)]
LENGTHS = [*LEARNING_LENGTHS, (1,)]


@pytest.mark.parametrize("family", PACKED)
def test_families_with_the_layers_of_bert_are_packed(family: str) -> None:
    assert standard(family).why_padded is None
    assert with_own_head(family).why_padded is None


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_packed_logits_equal_padded_ones_and_those_of_each_text_alone(
    family: str, lengths: tuple[int, ...]
) -> None:
    model, batch = standard(family), batch_for(family, lengths)
    with torch.no_grad():
        packed, padded, alone = model(batch), model.padded_forward(batch), one_by_one(model.hf, batch)
    assert packed.shape == (len(lengths), 3)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=0)
    if len(lengths) > 1:  # the comparison is meaningful because texts differ by much more
        assert float((packed[0] - packed[1]).abs().max()) > 0.01


@pytest.mark.parametrize("lengths", LEARNING_LENGTHS, ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_packed_gradients_equal_padded_ones(family: str, lengths: tuple[int, ...]) -> None:
    model, batch = standard(family, **NO_DROPOUT[family]).train(), batch_for(family, lengths)
    packed = gradients(model, model(batch), batch)
    padded = gradients(model, model.padded_forward(batch), batch)
    assert_gradients_agree(packed, padded)


@pytest.mark.parametrize("lengths", LEARNING_LENGTHS, ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_a_custom_head_gets_the_same_hidden_states_packed_and_padded(
    family: str, lengths: tuple[int, ...]
) -> None:
    model, batch = with_own_head(family).train(), batch_for(family, lengths)
    packed, padded = model(batch), model.padded_forward(batch)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    assert_gradients_agree(
        gradients(model, packed, batch), gradients(model, model.padded_forward(batch), batch)
    )


@pytest.mark.parametrize("family", PACKED)
def test_gradients_accumulate_over_micro_batches_and_are_reset_at_the_next_step(family: str) -> None:
    model = standard(family, **NO_DROPOUT[family]).train()
    batches = [batch_for(family, lengths) for lengths in (SEVERAL_GROUPS, EQUAL_LENGTHS, (5, 2))]
    for _ in range(2):
        packed = gradients_of_all(model, model, batches)
        padded = gradients_of_all(model, model.padded_forward, batches)
        assert_gradients_agree(packed, padded)


def gradients_of_all(
    model: StandardModel, forward: Callable[[Batch], Tensor], batches: list[Batch]
) -> dict[str, Tensor]:
    model.zero_grad()
    for batch in batches:
        assert batch.gold is not None
        cross_entropy(forward(batch), batch.gold, reduction="sum").backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", PACKED)
def test_a_padding_token_in_a_text_has_the_gradient_of_hugging_face(family: str) -> None:
    model = standard(family, **NO_DROPOUT[family]).train()
    batch = batch_for(family, (9, 5))
    batch.ids_T[3] = model.hf.config.pad_token_id
    packed = gradients(model, model(batch), batch)
    alone = gradients(model, one_by_one(model.hf, batch), batch)
    assert_gradients_agree(packed, alone)


@pytest.mark.parametrize("family", PACKED)
def test_freezing_lower_layers_does_not_change_the_gradients_above(family: str) -> None:
    whole, frozen = (standard(family, **NO_DROPOUT[family]).train() for _ in range(2))
    batch = batch_for(family, UNEQUAL_LENGTHS)
    freeze(frozen, 1)
    found = gradients(frozen, frozen(batch), batch)
    expected = gradients(whole, whole.padded_forward(batch), batch)
    trained = {name for name, p in frozen.named_parameters() if p.requires_grad}
    assert found.keys() == trained < expected.keys()
    assert_gradients_agree(found, {name: expected[name] for name in trained})


def test_a_copied_model_uses_its_own_parameters() -> None:
    first, batch = standard("bert", **NO_DROPOUT["bert"]).train(), batch_of(UNEQUAL_LENGTHS)
    gradients(first, first(batch), batch)  # leaves compute copies and gradient buffers behind
    second = copy.deepcopy(first)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.1)
    assert_gradients_agree(
        gradients(second, second(batch), batch), gradients(second, second.padded_forward(batch), batch)
    )
    assert_gradients_agree(
        gradients(first, first(batch), batch), gradients(first, first.padded_forward(batch), batch)
    )


def test_token_types_are_used_if_the_family_has_them() -> None:
    model, batch = standard("bert"), batch_of(UNEQUAL_LENGTHS)
    without = batch_of(UNEQUAL_LENGTHS, has_pairs=False)
    with torch.no_grad():
        assert float((model(batch) - model(without)).abs().max()) > 0.01


def test_dropout_is_applied_only_in_training() -> None:
    model, batch = (
        standard("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.3),
        batch_of((9, 5)),
    )
    with torch.no_grad():
        assert torch.equal(model(batch), model(batch))
        model.train()
        assert not torch.equal(model(batch), model(batch)), "attention dropout"


def test_a_decoder_with_bert_layers_is_padded_with_a_reason() -> None:
    reason = standard("bert", is_decoder=True).why_padded
    assert reason is not None
    assert "decoder" in reason


@pytest.mark.parametrize("family", PADDED)
def test_other_families_are_padded_with_the_logits_of_each_text_alone(family: str) -> None:
    model, batch = standard(family), batch_of(UNEQUAL_LENGTHS)
    assert model.why_padded is not None
    with torch.no_grad():
        torch.testing.assert_close(model(batch), one_by_one(model.hf, batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", PACKED)
def test_a_text_with_a_padding_token_equals_hugging_face(
    family: str,
) -> None:
    model, batch = standard(family), batch_of((9, 5))
    batch.ids_T[3] = model.hf.config.pad_token_id  # RoBERTa has no position for it
    with torch.no_grad():
        torch.testing.assert_close(model(batch), one_by_one(model.hf, batch), atol=1e-5, rtol=0)
