"""The packed forward pass computes what the padded one computes, and keeps texts apart."""

import pytest
import torch
from families import EQUAL_LENGTHS, NO_DROPOUT, PACKED, PADDED, UNEQUAL_LENGTHS, batch_of, one_by_one
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoModelForSequenceClassification

from bertune.nn.heads.first_token import HEAD
from bertune.nn.model import OwnHeadModel, StandardModel, TextModel
from bertune.text.sequences import Batch

LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, (1,), (50,)]


def standard(family: str, **more: object) -> StandardModel:
    torch.manual_seed(1)
    config = (PACKED | PADDED)[family](num_labels=3, **more)
    return StandardModel(AutoModelForSequenceClassification.from_config(config).eval())


def with_own_head(family: str) -> OwnHeadModel:
    torch.manual_seed(1)
    encoder = AutoModel.from_config(PACKED[family](**NO_DROPOUT))
    return OwnHeadModel(encoder, HEAD(36, 3, 0.0)).eval()


def batch_for(family: str, lengths: tuple[int, ...]) -> Batch:
    longest = 50 - (0 if family in {"bert", "electra"} else 2)  # RoBERTa never uses two of its positions
    return batch_of([min(n, longest) for n in lengths])


def gradients(model: TextModel, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    assert batch.gold is not None
    model.zero_grad()
    cross_entropy(outputs, batch.gold, reduction="sum").backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_gradients_agree(packed: dict[str, Tensor], padded: dict[str, Tensor]) -> None:
    assert packed.keys() == padded.keys()
    largest = max(float(g.abs().max()) for g in padded.values())
    for name, expected in padded.items():
        # The bias of the keys has no influence: its gradient is nothing but rounding.
        scale = largest if name.endswith("key.bias") else float(expected.abs().max())
        assert scale > 0, name
        difference = float((packed[name] - expected).abs().max())
        assert difference <= 1e-4 * scale, f"{name}: {difference} of {scale}"


@pytest.mark.parametrize("family", PACKED)
def test_the_families_that_share_the_layers_of_bert_run_packed(family: str) -> None:
    assert standard(family).why_padded is None
    assert with_own_head(family).why_padded is None


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_packed_logits_are_those_of_the_padded_twin_and_of_each_text_alone(
    family: str, lengths: tuple[int, ...]
) -> None:
    model, batch = standard(family), batch_for(family, lengths)
    with torch.no_grad():
        packed, padded, alone = model(batch), model.padded_forward(batch), one_by_one(model.hf, batch)
    assert packed.shape == (len(lengths), 3)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=0)
    if len(lengths) > 1:  # the comparison means something: texts differ by far more than that
        assert float((packed[0] - packed[1]).abs().max()) > 0.01


@pytest.mark.parametrize("lengths", [EQUAL_LENGTHS, UNEQUAL_LENGTHS], ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_packed_gradients_are_those_of_the_padded_twin(family: str, lengths: tuple[int, ...]) -> None:
    model, batch = standard(family, **NO_DROPOUT).train(), batch_for(family, lengths)
    packed = gradients(model, model(batch), batch)
    padded = gradients(model, model.padded_forward(batch), batch)
    assert_gradients_agree(packed, padded)


@pytest.mark.parametrize("lengths", [EQUAL_LENGTHS, UNEQUAL_LENGTHS], ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_an_own_head_gets_the_same_hidden_states_packed_and_padded(
    family: str, lengths: tuple[int, ...]
) -> None:
    model, batch = with_own_head(family).train(), batch_for(family, lengths)
    packed, padded = model(batch), model.padded_forward(batch)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    assert_gradients_agree(
        gradients(model, packed, batch), gradients(model, model.padded_forward(batch), batch)
    )


@pytest.mark.parametrize("lengths", [EQUAL_LENGTHS, UNEQUAL_LENGTHS], ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_no_text_sees_another_one_of_its_batch(family: str, lengths: tuple[int, ...]) -> None:
    model, batch = standard(family), batch_for(family, lengths)
    starts = (torch.cumsum(batch.lengths_S, 0) - batch.lengths_S).tolist()
    with torch.no_grad():
        before = model(batch)
        for changed, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            ids_T = batch.ids_T.clone()
            ids_T[start : start + length] = 103 - ids_T[start : start + length]
            after = model(Batch(ids_T, batch.types_T, batch.lengths_S, batch.groups_S, batch.gold))
            others = [i for i in range(len(lengths)) if i != changed]
            torch.testing.assert_close(after[others], before[others], atol=0, rtol=0)
            assert not torch.equal(after[changed], before[changed])


def test_token_types_matter_where_the_family_has_them() -> None:
    model, batch = standard("bert"), batch_of(UNEQUAL_LENGTHS)
    without = batch_of(UNEQUAL_LENGTHS, has_pairs=False)
    with torch.no_grad():
        assert float((model(batch) - model(without)).abs().max()) > 0.01


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    model, batch = (
        standard("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.3),
        batch_of((9, 5)),
    )
    with torch.no_grad():
        assert torch.equal(model(batch), model(batch))
        model.train()
        assert not torch.equal(model(batch), model(batch)), "attention dropout"


def test_a_decoder_that_only_looks_like_bert_runs_padded_and_says_why() -> None:
    reason = standard("bert", is_decoder=True).why_padded
    assert reason is not None
    assert "decoder" in reason


@pytest.mark.parametrize("family", PADDED)
def test_other_families_run_padded_with_the_logits_of_each_text_alone(family: str) -> None:
    model, batch = standard(family), batch_of(UNEQUAL_LENGTHS)
    assert model.why_padded is not None
    with torch.no_grad():
        torch.testing.assert_close(model(batch), one_by_one(model.hf, batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", PACKED)
def test_a_text_that_spells_out_the_padding_token_is_computed_as_hugging_face_computes_it(
    family: str,
) -> None:
    model, batch = standard(family), batch_of((9, 5))
    batch.ids_T[3] = model.hf.config.pad_token_id  # RoBERTa gives it no position of its own
    with torch.no_grad():
        torch.testing.assert_close(model(batch), one_by_one(model.hf, batch), atol=1e-5, rtol=0)
