"""CUDA: packed and padded passes agree, training repeats and resumes bit for bit, running out of memory.

Skipped without a CUDA device.
"""

import csv
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from families import NO_DROPOUT, PACKED, PADDED, SEVERAL_GROUPS, batch_for
from torch import Tensor

import bertune
from bertune import registry
from bertune.config import TaskConfig
from bertune.nn.batch import Batch
from bertune.nn.model import StandardModel
from bertune.run import Run
from bertune.tasks import make_task
from bertune.training.events import Stepped, Warned
from small_texts import TINY_BERT, labelled_texts, write_vocabulary
from trainings import assert_same_work, stopped_after, train

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice")
# Heads of size 8, which flash attention supports; those of the other tests are too small for it.
WIDTH = {"hidden_size": 32}
PRECISIONS = ("fp32", "bf16")


def model_of(family: str, head: str) -> StandardModel:
    torch.manual_seed(2)
    width = {"dim": 32} if family == "distilbert" else WIDTH
    config = PACKED[family](**width, **NO_DROPOUT[family], num_labels=2 if head == HEADS[2] else 3)
    hf = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    for module in hf.modules():
        if isinstance(module, torch.nn.Dropout):  # the settings above do not cover the dropout of some heads
            module.p = 0.0
    return StandardModel(hf).to(DEVICE).train()


def summed_loss(outputs: Tensor) -> Tensor:
    """A loss that depends on every output."""
    return (outputs.float() * torch.linspace(0.5, 1.5, outputs.numel(), device=DEVICE).view_as(outputs)).sum()


def computed(model: StandardModel, forward: Any, batch: Batch, precision: str) -> Tensor:
    """The outputs and all gradients of a pass, concatenated."""
    model.zero_grad()
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
        outputs = forward(batch)
    summed_loss(outputs).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return torch.cat([outputs.detach().float().flatten(), *(found[name].flatten() for name in sorted(found))])


def distance(found: Tensor, reference: Tensor) -> float:
    return float((found - reference).norm() / reference.norm())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", PACKED)
def test_packed_outputs_and_gradients_equal_padded_ones(family: str, head: str) -> None:
    model = model_of(family, head)
    batch: Batch = batch_for(family, SEVERAL_GROUPS).to(torch.device(DEVICE))
    reference = computed(model, model.padded_forward, batch, "fp32")
    assert distance(computed(model, model, batch, "fp32"), reference) < 1e-5
    # Both passes have rounding errors in bf16; those of the packed one must not be much larger.
    padded = distance(computed(model, model.padded_forward, batch, "bf16"), reference)
    assert 0 < distance(computed(model, model, batch, "bf16"), reference) < 3 * padded


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained BERT with heads large enough for flash attention."""
    folder = tmp_path_factory.mktemp("models") / "wide"
    folder.mkdir()
    write_vocabulary(folder)
    transformers.BertConfig(**TINY_BERT | WIDTH, initializer_range=0.15).save_pretrained(folder)
    return folder


def recipe(encoder: Path, precision: str, **changes: Any) -> dict[str, Any]:
    return {
        "model.name": str(encoder),
        "model.dropout": 0.2,
        "machine.device": DEVICE,
        "machine.precision": precision,
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.lr": 2e-3,
        "train.evaluate_every": 3,
        "train.checkpoint_every": 2,
        **changes,
    }


@pytest.mark.parametrize("precision", PRECISIONS)
def test_training_is_reproducible_bit_for_bit_even_if_interrupted(
    precision: str, encoder: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    settings = recipe(encoder, precision)
    whole, _ = train(reviews_csv, tmp_path / "whole", settings)
    again, _ = train(reviews_csv, tmp_path / "again", settings)
    assert_same_work(again, whole)
    for steps in (3, 8):
        stopped_after(reviews_csv, tmp_path / "stopped", settings, steps, signal.SIGTERM)
    resumed, _ = train(reviews_csv, tmp_path / "stopped", settings, resume=True)
    assert_same_work(resumed, whole)


@pytest.mark.parametrize("name", registry.names("task"))
def test_every_task_trains_and_predicts(name: str, encoder: Path, tmp_path: Path) -> None:
    rows = [dict(row) for row in make_task(TaskConfig(name=name)).sample]
    settings = {
        **recipe(encoder, "bf16"),
        "task.name": name,
        "train.batch_size": 4,
        "train.epochs": 3,
    }
    run = bertune.train({"train": rows, "validation": rows}, settings=settings, out=tmp_path / "run")
    assert run.manifest["status"] == "complete"
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in run.metrics())
    for device in (DEVICE, "cpu"):
        assert len(bertune.load(run, settings={"machine.device": device}).predict(rows)) == len(rows)


@pytest.mark.parametrize("family", PADDED)
def test_a_padded_family_is_reproducible_bit_for_bit(family: str, reviews_csv: Path, tmp_path: Path) -> None:
    config = PADDED[family](vocab_size=TINY_BERT["vocab_size"], max_position_embeddings=64)
    folder = tmp_path / "encoder"
    config.save_pretrained(folder)
    write_vocabulary(folder)
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    settings = recipe(folder, "bf16", **{"train.epochs": 1, "model.max_length": 32})
    found = [train(reviews_csv, tmp_path / name, settings)[0] for name in ("one", "two")]
    assert_same_work(*found)


@pytest.mark.parametrize("freeze", ["embeddings", "1", "encoder"])
def test_frozen_parameters_do_not_change(
    freeze: str, encoder: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    run, _ = train(reviews_csv, tmp_path / "run", recipe(encoder, "bf16", **{"train.freeze": freeze}))
    assert run.manifest["status"] == "complete"


@pytest.fixture
def little_memory() -> Iterator[float]:
    """Limit this process to 300 MB of device memory beyond what it uses now; yields the limit in bytes."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 300 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / total)
    yield room
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def long_texts(path: Path) -> Path:
    """128 texts of about 60 tokens each."""
    short = labelled_texts(1024)
    rows = [
        (" ".join(text for text, _ in short[i : i + 8])[:240], short[i // 8][1]) for i in range(0, 1024, 8)
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def wide_recipe(tmp_path: Path) -> dict[str, Any]:
    """A recipe with steps that do not fit into the remaining memory as a single micro-batch."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    write_vocabulary(folder)
    width = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
    transformers.BertConfig(**TINY_BERT | width).save_pretrained(folder)
    more = {"train.batch_size": 112, "model.max_length": 64, "model.dropout": 0, "train.lr": 1e-4}
    return recipe(folder, "bf16", **more, **{"machine.micro_batch_tokens": 8192})


def losses(run: Run) -> list[float]:
    return [line["loss"] for line in run.metrics()]


def test_running_out_of_device_memory_does_not_change_the_steps(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings, data = wide_recipe(tmp_path), long_texts(tmp_path / "long.csv")
    plenty, events = train(data, tmp_path / "plenty", settings)
    assert not [e for e in events if isinstance(e, Warned) and "memory" in e.text]
    request.getfixturevalue("little_memory")
    short, events = train(data, tmp_path / "short", settings)
    assert [e for e in events if isinstance(e, Warned) and "memory" in e.text], "there was memory enough"
    assert min(e.step.tokens for e in events if isinstance(e, Stepped)) < 8192
    assert losses(short) == pytest.approx(losses(plenty), rel=2e-2)
