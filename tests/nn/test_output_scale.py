"""The scale of a regression output is part of the saved layer, but not of the model in training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import PACKED, PADDED

from bertune.config import ModelConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.metadata import ModelMetadata
from bertune.metrics.calibration import Calibration, OutputScale
from bertune.nn.batch import collate
from bertune.nn.model import StandardModel
from bertune.nn.pretrained import Pretrained
from bertune.saved_model import LoadedModel, load, new_model, save
from bertune.tasks import make_task
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

YEARS = OutputScale(1900.0, (120.0,))  # far from 0, so that a lost or doubled offset is noticed
BATCH = collate([
    Sequence(np.array(ids, np.int32), np.zeros(len(ids), np.uint8), group)
    for group, ids in enumerate(([2, 7, 9, 3], [2, 30, 31, 32, 33, 3]))
])  # fmt: skip


@pytest.mark.parametrize("family", [*PACKED, *PADDED])
def test_saving_folds_the_scale_without_changing_the_model_in_memory(family: str, tmp_path: Path) -> None:
    config = {**PACKED, **PADDED}[family](num_labels=1)
    torch.manual_seed(1)
    hf = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    model = StandardModel(hf).eval()
    before = {name: tensor.clone() for name, tensor in hf.state_dict().items()}
    with torch.no_grad():
        outputs = model(BATCH)
    model.save(tmp_path, YEARS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in hf.state_dict().items())
    saved = StandardModel(transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)).eval()
    with torch.no_grad():
        torch.testing.assert_close(saved.padded_forward(BATCH), 1900 + 120 * outputs, rtol=1e-6, atol=1e-3)
        saved.remove_scale(YEARS)
        torch.testing.assert_close(saved(BATCH), outputs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", [*PACKED, *PADDED])
def test_each_output_has_a_factor(family: str, tmp_path: Path) -> None:
    config = {**PACKED, **PADDED}[family](num_labels=3)
    model = StandardModel(transformers.AutoModelForSequenceClassification.from_config(config)).eval()
    scale = OutputScale(0.0, (2.0, 3.0, 4.0))
    assert model.can_hold(scale) and not model.can_hold(OutputScale(0.0, (2.0, 3.0)))
    model.save(tmp_path, scale)
    saved = StandardModel(transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)).eval()
    with torch.no_grad():
        expected = model(BATCH) * torch.tensor(scale.factors)
        torch.testing.assert_close(saved.padded_forward(BATCH), expected, rtol=1e-5, atol=1e-5)


def test_training_a_saved_model_for_other_labels_starts_with_a_new_output_layer(
    tiny_weights: Path, tmp_path: Path
) -> None:
    """Drawn as usual, and not multiplied by the temperature of the layer that it replaces."""
    task, labels = make_task(TaskConfig(name="classification")), ("a", "b")
    fitted = replace(task.fitted(labels), calibration=Calibration((100.0,)))
    network = new_model(Pretrained(str(tiny_weights), tiny_weights, "pretrained"), ModelConfig(), fitted)
    metadata = ModelMetadata(
        TaskConfig(name="classification"), labels, 64, Columns(("text",), "label", None), {}
    )
    folder = tmp_path / "model"
    save(folder, LoadedModel(network, Tokenizer.pretrained(tiny_weights), fitted, metadata))
    again = new_model(Pretrained(str(folder), folder, "pretrained"), ModelConfig(), task.fitted(labels))
    torch.testing.assert_close(outputs_of(again), outputs_of(network), rtol=0, atol=2e-5)
    other = new_model(
        Pretrained(str(folder), folder, "pretrained"), ModelConfig(), task.fitted(("a", "b", "c"))
    )
    assert other.hf.classifier.weight.std() < 10 * network.hf.classifier.weight.std()


@pytest.fixture
def saved(tiny_weights: Path, tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    """A saved model for regression of years, and its network at the time of saving."""
    fitted = make_task(TaskConfig(name="regression", low=1900, high=2020)).fitted(("value",))
    network = new_model(Pretrained(str(tiny_weights), tiny_weights, "pretrained"), ModelConfig(), fitted)
    metadata = ModelMetadata(
        TaskConfig(name="regression", low=1900, high=2020), ("value",), 64, Columns(("text",), "score", None),
        {}, length_limit=64,
    )  # fmt: skip
    tokenizer = Tokenizer.pretrained(tiny_weights)
    save(tmp_path / "model", LoadedModel(network, tokenizer, fitted, metadata))
    return tmp_path / "model", network.eval()


def outputs_of(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(BATCH)
    return found


def test_a_loaded_model_equals_the_saved_one(saved: tuple[Path, torch.nn.Module]) -> None:
    folder, network = saved
    torch.testing.assert_close(outputs_of(load(folder).model), outputs_of(network), rtol=0, atol=2e-5)


@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_training_from_a_saved_folder_starts_without_its_scale(
    saved: tuple[Path, torch.nn.Module], task: str
) -> None:
    """With logits near 2,000, any loss would diverge in the first step."""
    folder, network = saved
    fitted = make_task(TaskConfig(name=task)).fitted(("value",) if task == "regression" else ())
    further = new_model(Pretrained(str(folder), folder, "pretrained"), ModelConfig(), fitted)
    torch.testing.assert_close(outputs_of(further), outputs_of(network), rtol=0, atol=2e-5)
    assert further.hf.config.problem_type == ("regression" if task == "regression" else None)
    expected = "torch.nn.Identity" if task == "regression" else "torch.nn.Sigmoid"
    assert further.hf.config.sentence_transformers == {"activation_fn": expected}
