"""The last layer at first tokens agrees with the full layer at their rows."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from families import (
    EQUAL_LENGTHS,
    NO_DROPOUT,
    PACKED,
    SEVERAL_GROUPS,
    UNEQUAL_LENGTHS,
    assert_gradients_agree,
    batch_for,
    standard,
)
from torch import Tensor

from bertune.nn.absorbed import absorbed_context
from bertune.nn.batch import Batch
from bertune.nn.dropout import Dropout
from bertune.nn.families import Layer, layers
from bertune.nn.first_token import first_token_context
from bertune.nn.gradients import Gradients
from bertune.nn.layout import Layout, layout
from bertune.nn.packed import PackedEncoder, first_token_layer, full_layer
from bertune.nn.weights import Weights

LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS, (16, 16, 16, 16), (50,)]


@dataclass(frozen=True)
class Twins:
    """One encoder in training mode, run for first tokens only and for all tokens."""

    encoder: Any
    first: PackedEncoder
    whole: PackedEncoder

    def parameters(self) -> dict[str, Tensor]:
        return {n: p for n, p in self.encoder.named_parameters() if "pooler" not in n}


def twins(family: str, **more: object) -> Twins:
    encoder = standard(family, **{**NO_DROPOUT[family], **more}).encoder.train()
    return Twins(encoder, PackedEncoder(encoder, first_token_layer), PackedEncoder(encoder, full_layer))


def first_rows(hidden_TH: Tensor, batch: Batch) -> Tensor:
    return hidden_TH[torch.cumsum(batch.lengths_S, 0) - batch.lengths_S]


def gradients(model: Twins, first_BH: Tensor) -> dict[str, Tensor]:
    model.encoder.zero_grad()
    torch.manual_seed(6)
    (first_BH * torch.randn(first_BH.shape)).sum().backward()
    return {n: p.grad.clone() for n, p in model.parameters().items() if p.grad is not None}


@pytest.mark.parametrize("lengths", [*LENGTHS, (1,)], ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_first_tokens_equal_those_of_the_full_layer(family: str, lengths: tuple[int, ...]) -> None:
    model, batch = twins(family), batch_for(family, lengths)
    first_BH, hidden_TH = model.first(batch), model.whole(batch)
    assert len(hidden_TH) == len(batch.ids_T)
    assert first_BH.shape == (len(lengths), 36)
    torch.testing.assert_close(first_BH, first_rows(hidden_TH, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [*LENGTHS, (1,), (9,) * 11], ids=str)
def test_absorbed_keys_and_values_give_the_same_first_tokens(lengths: tuple[int, ...]) -> None:
    layer, there, hidden_TH = one_layer(lengths)
    weights = Weights(Gradients())
    with torch.no_grad():
        expected = first_token_context(hidden_TH, layer, there, weights, Dropout(is_training=False))
        found = absorbed_context(hidden_TH, layer, there, weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_gradients_of_first_tokens_equal_those_of_the_full_layer(
    family: str, lengths: tuple[int, ...]
) -> None:
    model, batch = twins(family), batch_for(family, lengths)
    found = gradients(model, model.first(batch))
    expected = gradients(model, first_rows(model.whole(batch), batch))
    assert found.keys() == model.parameters().keys()
    assert_gradients_agree(found, expected)


@pytest.mark.parametrize("family", PACKED)
def test_an_encoder_with_a_single_layer_is_supported(family: str) -> None:
    num_layers = "n_layers" if family == "distilbert" else "num_hidden_layers"
    model, batch = twins(family, **{num_layers: 1}), batch_for(family, UNEQUAL_LENGTHS)
    torch.testing.assert_close(model.first(batch), first_rows(model.whole(batch), batch))


@pytest.mark.parametrize("family", PACKED)
def test_first_tokens_in_bf16_are_close_to_those_of_the_full_layer(family: str) -> None:
    model, batch = twins(family), batch_for(family, SEVERAL_GROUPS)
    with torch.no_grad():
        exact_BH = model.first(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            first_BH, hidden_TH = model.first(batch), model.whole(batch)
    error = float((first_rows(hidden_TH, batch) - exact_BH).abs().mean())
    assert 0 < float((first_BH - exact_BH).abs().mean()) < 2 * error


def test_attention_dropout_keeps_the_expected_context() -> None:
    layer, there, hidden_TH = one_layer(UNEQUAL_LENGTHS)
    weights, num = Weights(Gradients()), 2000
    torch.manual_seed(0)
    with torch.no_grad():
        exact = first_token_context(hidden_TH, layer, there, weights, Dropout(is_training=False))
        draws = torch.stack(
            [
                first_token_context(hidden_TH, layer, there, weights, Dropout(is_training=True))
                for _ in range(num)
            ]
        )
    error = (draws.mean(0) - exact).abs()
    assert (error <= 5 * draws.std(0) / num**0.5 + 1e-5).all()
    assert float(draws.std(0).max()) > 0.1, "and the draws do differ"


def one_layer(lengths: tuple[int, ...]) -> tuple[Layer, Layout, Tensor]:
    (layer, *_) = layers(standard("bert", attention_probs_dropout_prob=0.3).encoder)
    there = layout(torch.tensor(lengths), torch.device("cpu"), torch.float32)
    torch.manual_seed(3)
    return layer, there, torch.randn(there.num_rows, 36)
