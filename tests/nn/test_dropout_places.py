"""Packed layers apply dropout exactly where those of Hugging Face do, so the outputs vary as much."""

from typing import Any

import pytest
import torch
from families import NO_DROPOUT, PACKED, batch_of, standard
from torch import Tensor

from bertune.nn.packed import PackedEncoder, first_token_layer, full_layer

PLACES = {
    family: [
        name
        for name, module in standard(family).encoder.named_modules()
        if isinstance(module, torch.nn.Dropout) and ".1." not in name
    ]
    for family in PACKED
}
DRAWS, LENGTH = 800, 6
BATCH = batch_of((LENGTH,), has_pairs=False)


def encoder_dropping_at(family: str, place: str) -> Any:
    """An encoder with one layer, in training mode, with dropout in one place only."""
    num_layers = "n_layers" if family == "distilbert" else "num_hidden_layers"
    encoder = standard(family, **NO_DROPOUT[family], **{num_layers: 1}).encoder.train()
    encoder.get_submodule(place).p = 0.3
    return encoder


def spread(first_BH: Tensor) -> float:
    return float(first_BH.std(0).square().mean().sqrt())


@pytest.mark.parametrize("last_layer", [first_token_layer, full_layer])
@pytest.mark.parametrize(
    ("family", "place"), [(family, place) for family, places in PLACES.items() for place in places]
)
def test_dropout_in_each_place_has_the_variance_of_hugging_face(
    family: str, place: str, last_layer: Any
) -> None:
    encoder = encoder_dropping_at(family, place)
    ids_BL = BATCH.ids_T.expand(DRAWS, -1)
    batch = type(BATCH)(
        ids_BL.flatten(),
        torch.zeros(DRAWS * LENGTH, dtype=torch.int64),
        torch.full((DRAWS,), LENGTH),
        torch.arange(DRAWS),
        None,
    )
    torch.manual_seed(0)
    with torch.no_grad():
        hidden = PackedEncoder(encoder, last_layer)(batch)
        expected_BH = encoder(input_ids=ids_BL).last_hidden_state[:, 0]
    first_BH = hidden if len(hidden) == DRAWS else hidden[::LENGTH]
    assert spread(expected_BH) > 0.05
    assert spread(first_BH) == pytest.approx(spread(expected_BH), rel=0.1)
    error = (first_BH.mean(0) - expected_BH.mean(0)).abs()
    assert (error <= 6 * spread(expected_BH) * (2 / DRAWS) ** 0.5 + 1e-5).all()
