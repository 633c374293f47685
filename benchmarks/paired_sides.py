"""The two sides of the comparison over paired seeds: bertune and the transformers Trainer on the same rows.

bertune holds out its validation rows as it does for a user who gives none; the Trainer is given the rows that
bertune trains on. Both score the test rows with the last weights; bertune also after every epoch.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
from checkpoint_rules import packed_bits
from paired_sets import PairedSet, Recipe, as_table
from sklearn.metrics import accuracy_score, matthews_corrcoef

from bertune.bench.job import Item
from bertune.nn.device import deterministic, make_machine
from bertune.nn.vocabulary import restrict_vocabulary
from bertune.saved_model import new_model
from bertune.source import resolve_source
from bertune.text.batches import steps_per_epoch
from bertune.training.evaluation import ScoredSplit, evaluate
from bertune.training.loop import Plan, TrainState, train_steps
from bertune.training.optim import Optimizer, total_steps, warmup_steps
from bertune.training.preparing import Prepared, prepare

EVAL_BATCH = 128  # rows; the Trainer's default of 8 would only be slower


@dataclass(frozen=True)
class Rows:
    """What one seed of a set is trained and scored on."""

    train: list[Item]
    test: list[Item]
    labels: tuple[str, ...]


def prepared_rows(
    chosen: PairedSet, train: list[Item], test: list[Item], encoder: Path, seed: int, machine: dict[str, Any]
) -> Prepared:
    """The rows as bertune prepares them: validation rows held out by seed, everything encoded."""
    recipe = chosen.recipe
    settings: dict[str, Any] = {
        "model": {"name": str(encoder), "max_length": recipe.max_length},
        "train": {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "lr": recipe.lr,
            "seed": seed,
            "best_metric": chosen.metric,
        },
        "machine": machine,
    }
    return prepare(resolve_source({"train": as_table(train), "test": as_table(test)}, settings))


def rows_of(prepared: Prepared) -> Rows:
    """The training rows that are left and the test rows, in the order of the files."""
    train, test = (
        [(e.texts, str(e.gold)) for e in prepared.splits[name].examples] for name in ("train", "test")
    )
    return Rows(train, test, prepared.encoder.fitted.labels)


def train_bertune(prepared: Prepared) -> list[dict[str, Any]]:
    """The steps of `bertune train` for prepared data; after each epoch validation and test rows are scored.

    What the command adds (the run folder, checkpoints, the report) changes no weight, and evaluating between
    steps does not either.
    """
    config, fitted, splits = prepared.config, prepared.encoder.fitted, prepared.splits
    machine = make_machine(config.machine)
    torch.manual_seed(config.train.seed)
    model = new_model(prepared.pretrained, config.model, fitted).to(machine.device)
    used = [s.ids for split in splits.values() for s in split.sequences]
    restrict_vocabulary(model, model.encoder, np.unique(np.concatenate(used)))
    per_epoch = steps_per_epoch(len(splits["train"].examples), config.train.batch_size)
    total = total_steps(config.train, per_epoch)
    plan = Plan(total=total, warmup=warmup_steps(config.train, total), per_epoch=per_epoch)
    state = TrainState(model, fitted, splits["train"], machine)
    optimizer = Optimizer(model, config.train, config.optimizer)
    found = []
    losses: list[float] = []
    with deterministic(machine.device):
        for step in train_steps(state, optimizer, config.train, plan):
            losses.append(step.loss)
            if step.number % per_epoch == 0:
                scored = {name: evaluate(state, splits[name], _never) for name in ("validation", "test")}
                train = {"train_loss": round(float(np.mean(losses[-per_epoch:])), 6)}
                found.append({"step": step.number, **train, **_evaluation(scored, prepared)})
    return found


def _never() -> None:
    """Stops no evaluation."""


def _evaluation(scored: dict[str, ScoredSplit], prepared: Prepared) -> dict[str, Any]:
    gold = [example.gold for example in prepared.splits["validation"].examples]
    predicted = [prediction.label for prediction in scored["validation"].outcome.predictions]
    values = {
        name: {key: round(float(split.values[key]), 6) for key in ("loss", "accuracy", "mcc")}
        for name, split in scored.items()
    }
    return {
        **values,
        "correct": packed_bits(np.array([a == b for a, b in zip(predicted, gold, strict=True)])),
    }


def gold_bits(prepared: Prepared) -> str | None:
    """Which validation rows have the second of two labels; None where there are more labels."""
    labels = prepared.encoder.fitted.labels
    if len(labels) != 2:
        return None
    return packed_bits(np.array([e.gold == labels[1] for e in prepared.splits["validation"].examples]))


def train_peer(
    rows: Rows, recipe: Recipe, encoder: Path, seed: int, is_cpu: bool, precision: str
) -> dict[str, Any]:
    """Trains with the transformers Trainer: the last test scores and the course.

    Batches are random and padded to their longest row, as in the library's examples. The course has the mean
    training loss of each epoch and the scores after it. Needs accelerate.
    """
    from transformers import (
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    set_seed(seed)
    model = _peer_model(encoder, len(rows.labels))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=seed,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=EVAL_BATCH,
            learning_rate=recipe.lr,
            lr_scheduler_type="linear",
            warmup_steps=0.1,  # below 1 it is a share of all steps
            weight_decay=0.01,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            bf16=precision == "bf16",
            use_cpu=is_cpu,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="epoch",
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
        )
        test = features(tokenizer, rows.test, rows.labels, recipe.max_length)
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=features(tokenizer, rows.train, rows.labels, recipe.max_length),
            eval_dataset=test,
            compute_metrics=_scores,
            processing_class=tokenizer,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        output = trainer.predict(test)
    if np.asarray(output.label_ids).tolist() != [rows.labels.index(label) for _, label in rows.test]:
        raise RuntimeError("the Trainer's predictions are not in the order of the test rows")
    return {**_scores(output), "course": _course(trainer.state.log_history)}


def _scores(output: Any) -> dict[str, float]:
    """Scores of the Trainer's predictions."""
    predicted, gold = np.asarray(output.predictions).argmax(-1), np.asarray(output.label_ids)
    return {
        "accuracy": round(float(accuracy_score(gold, predicted)), 6),
        "mcc": round(float(matthews_corrcoef(gold, predicted)), 6),
    }


def _course(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Per epoch the mean training loss, and the scores of the test rows after it."""
    losses = [line["loss"] for line in history if "loss" in line]
    tests = [line for line in history if "eval_loss" in line]
    return [
        {
            "train_loss": round(loss, 6),
            **{key: round(test[f"eval_{key}"], 6) for key in ("loss", "accuracy", "mcc")},
        }
        for loss, test in zip(losses, tests, strict=True)
    ]


def _peer_model(encoder: Path, num_labels: int) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(encoder, num_labels=num_labels)
    if any(encoder.glob("*.safetensors")):
        return AutoModelForSequenceClassification.from_pretrained(encoder, config=config, dtype=torch.float32)
    return AutoModelForSequenceClassification.from_config(config)


def features(
    tokenizer: Any, items: list[Item], labels: tuple[str, ...], max_length: int
) -> list[dict[str, Any]]:
    """One dictionary per row, not padded."""
    columns = [list(column) for column in zip(*(texts for texts, _ in items), strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length)
    number = {label: index for index, label in enumerate(labels)}
    return [
        {**dict(zip(encoded, row, strict=True)), "labels": number[label]}
        for row, (_, label) in zip(zip(*encoded.values(), strict=True), items, strict=True)
    ]
