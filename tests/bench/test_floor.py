"""The physical floor: FLOP counts against torch's counter on real models, bytes, and peak rates."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, ElectraConfig

from bertune.bench.floor import Load, Peaks, Shape, floor_seconds, forward_flops, optimizer_bytes, shape_of
from bertune.bench.floor import training_flops as training
from bertune.bench.job import Job
from bertune.bench.peaks import measure_peaks
from bertune.bench.peers.trainer import load_model

BATCH, LENGTH, LABELS = 5, 7, 3  # no dimension equals another
CONFIGS = {
    "bert": BertConfig(
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        attn_implementation="eager",
    ),
    "distilbert": DistilBertConfig(
        vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=37, attn_implementation="eager"
    ),
    "electra": ElectraConfig(
        vocab_size=99,
        embedding_size=24,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        attn_implementation="eager",
    ),
}


def counted(model: torch.nn.Module, is_training: bool) -> int:
    """The FLOP that torch counts for a batch without padding."""
    ids_BL = torch.arange(BATCH * LENGTH).reshape(BATCH, LENGTH)
    labels_B = torch.zeros(BATCH, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        loss = model(input_ids=ids_BL, labels=labels_B).loss
        if is_training:
            loss.backward()
    return counter.get_total_flops()


@pytest.fixture(params=list(CONFIGS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fresh(family: str) -> tuple[torch.nn.Module, Shape]:
    config = CONFIGS[family]
    config.num_labels = LABELS
    shape = shape_of(config, LABELS)
    assert shape is not None
    return AutoModelForSequenceClassification.from_config(config), shape


def test_forward_flops_equal_torchs_count(family: str) -> None:
    model, shape = fresh(family)
    assert forward_flops(Load.of([LENGTH] * BATCH), shape) == counted(model, is_training=False)


def test_training_flops_equal_torchs_count(family: str) -> None:
    model, shape = fresh(family)
    assert training(Load.of([LENGTH] * BATCH), shape) == counted(model, is_training=True)


@pytest.mark.parametrize("freeze", ["none", "embeddings", "1", "2", "encoder"])
def test_training_flops_with_frozen_parts_equal_torchs_count(freeze: str, tmp_path: Path) -> None:
    _, shape = fresh("bert")
    CONFIGS["bert"].save_pretrained(tmp_path)
    job = Job(str(tmp_path), "", "", 5, 1, ("a", "b", "c"), 7, freeze=freeze)
    model = load_model(job)
    model.set_attn_implementation("eager")
    assert training(Load.of([LENGTH] * BATCH), shape, freeze) == counted(model, is_training=True)


def test_flops_of_different_lengths_add_up() -> None:
    shape = Shape(2, 32, 37, 32, LABELS)
    apart = sum(forward_flops(Load.of([n]), shape) for n in (3, 5, 11))
    assert forward_flops(Load.of([3, 5, 11]), shape) == apart
    assert Load.of([3, 5]) + Load.of([11]) == Load.of([3, 5, 11])


def test_a_family_with_different_products_has_no_shape() -> None:
    from transformers import DebertaV2Config

    assert shape_of(DebertaV2Config(), 2) is None


def test_the_optimizer_moves_28_bytes_per_parameter() -> None:
    assert optimizer_bytes(22_713_986) == 635_991_608


def test_the_floor_adds_arithmetic_and_traffic_at_the_best_rates() -> None:
    peaks = Peaks(square_flops=200e9, shapes_flops=100e9, copy_bytes=10e9, triad_bytes=20e9)
    assert floor_seconds(20e9, 5e9, peaks) == pytest.approx(0.1 + 0.25)


def test_peaks_are_measured_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from bertune.bench import peaks as module

    monkeypatch.setattr(module, "_SQUARE", {"cpu": 64})
    monkeypatch.setattr(module, "_MOST_BYTES", 1 << 16)
    peaks = measure_peaks(Shape(2, 32, 37, 32, LABELS), 35, "fp32", "cpu")
    assert min(peaks.square_flops, peaks.shapes_flops, peaks.copy_bytes, peaks.triad_bytes) > 0
