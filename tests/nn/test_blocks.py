"""Frozen parameters stay the same, all others are trained, and the blocks cover the whole model."""

import pytest
import torch
from families import NO_DROPOUT, PACKED, PADDED, batch_of
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoModelForSequenceClassification

from bertune.config import OptimizerConfig, TrainConfig
from bertune.errors import ConfigError
from bertune.nn.blocks import blocks, freeze
from bertune.nn.heads.first_token import HEAD
from bertune.nn.model import CustomHeadModel, StandardModel, TextModel
from bertune.training.optim import Optimizer

EVERY_FAMILY = [*PACKED, *PADDED]


def bert(family: str = "bert", **more: object) -> StandardModel:
    torch.manual_seed(1)
    config = (PACKED | PADDED)[family](num_labels=3, **more)
    return StandardModel(AutoModelForSequenceClassification.from_config(config))


def bert_with_own_head() -> CustomHeadModel:
    return CustomHeadModel(AutoModel.from_config(PACKED["bert"]()), HEAD(36, 3, 0.0))


def changed_by_a_step(model: TextModel) -> set[str]:
    """The names of the parameters that one optimizer step with weight decay changes."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = Optimizer(model, TrainConfig(weight_decay=0.1), OptimizerConfig())
    batch = batch_of((9, 5, 12))
    assert batch.gold is not None
    cross_entropy(model(batch), batch.gold).backward()
    optimizer.step(lr=0.1)
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize(
    ("what", "frozen"),
    [
        ("none", ()),
        ("embeddings", ("embeddings.",)),
        (1, ("embeddings.", "encoder.layer.0.")),
        (2, ("embeddings.", "encoder.layer.0.", "encoder.layer.1.")),
        ("encoder", ("embeddings.", "encoder.", "pooler.")),
    ],
    ids=str,
)
def test_a_step_changes_all_parameters_except_the_frozen_ones(
    what: str | int, frozen: tuple[str, ...]
) -> None:
    model = bert(**NO_DROPOUT["bert"])
    freeze(model, what)
    names = [name for name, _ in model.named_parameters()]
    expected = {name for name in names if not name.removeprefix("hf.bert.").startswith(frozen)}
    assert changed_by_a_step(model) == expected


def test_freezing_the_encoder_trains_only_the_custom_head() -> None:
    model = bert_with_own_head()
    freeze(model, "encoder")
    assert changed_by_a_step(model) == {"head.classifier.weight", "head.classifier.bias"}


@pytest.mark.parametrize(
    "family", [f for f in EVERY_FAMILY if f != "albert"]
)  # ALBERT layers share their weights
def test_the_lower_layers_of_every_family_can_be_frozen(family: str) -> None:
    model = bert(family)
    freeze(model, 1)
    trained = {block.name for block in blocks(model) if block.is_trained}
    assert not trained & {"embeddings", "layer 0"}
    assert {"layer 1", "head"} <= trained


def test_freezing_more_layers_than_the_encoder_has_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"train\.freeze=3: this encoder has only 2 layers"):
        freeze(bert(), 3)


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_the_blocks_contain_every_parameter_once(family: str) -> None:
    model = bert(family)
    parts = blocks(model)
    assert sum(block.num_parameters for block in parts) == sum(p.numel() for p in model.parameters())
    listed = [id(p) for block in parts for p in block.parameters]
    assert len(listed) == len(set(listed))
    assert {"embeddings", "head"} <= {block.name for block in parts}


def test_the_blocks_of_a_bert_are_embeddings_layers_pooler_and_head() -> None:
    model = bert()
    size = {block.name: block.num_parameters for block in blocks(model)}
    hidden, wide = 36, 37
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * wide + wide + hidden + 4 * hidden
    assert size == {
        "embeddings": (99 + 50 + 2) * hidden + 2 * hidden,
        "layer 0": layer,
        "layer 1": layer,
        "pooler": hidden * hidden + hidden,
        "head": hidden * 3 + 3,
    }


def test_blocks_report_whether_they_are_trained() -> None:
    model = bert()
    freeze(model, 1)
    assert {block.name: block.is_trained for block in blocks(model)} == {
        "embeddings": False,
        "layer 0": False,
        "layer 1": True,
        "pooler": True,
        "head": True,
    }
