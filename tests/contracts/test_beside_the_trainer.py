"""Without dropout and in the same order of rows, steps equal those of the transformers Trainer."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from bertune.text.batches import step_examples
from small_texts import labelled_texts, write_csv
from trainings import train

pytest.importorskip("accelerate")
SEED, BATCH = 5, 8
ROWS = 61  # the last batch of an epoch is not full
PER_EPOCH = -(-ROWS // BATCH)


class Logged(TrainerCallback):  # type: ignore[misc]
    """The values that the Trainer reports for each step: loss, gradient norm and learning rate."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "grad_norm" in logs:
            self.steps.append((logs["loss"], float(logs["grad_norm"]), logs["learning_rate"]))


class InOrder(Trainer):  # type: ignore[misc]
    """A Trainer that takes the rows of every epoch in bertune's order."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> "Order":
        return Order()


class Order(torch.utils.data.Sampler[int]):
    """The rows of the next epoch."""

    def __init__(self) -> None:
        self.batches = step_examples(ROWS, BATCH, SEED)

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        yield from np.concatenate(list(islice(self.batches, PER_EPOCH))).tolist()


def by_trainer(
    folder: Path, out: Path, precision: str, epochs: int
) -> tuple[list[tuple[float, float, float]], dict[str, torch.Tensor]]:
    """The steps of the Trainer and its final weights, with the rows in bertune's order."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [
        {**tokenizer(text), "labels": ("bad", "good").index(label)} for text, label in labelled_texts(ROWS)
    ]
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.from_pretrained(folder, num_labels=2, **no_dropout)
    logged = Logged()
    trainer = InOrder(
        model=AutoModelForSequenceClassification.from_pretrained(folder, config=config, dtype=torch.float32),
        args=TrainingArguments(
            output_dir=str(out),
            seed=SEED,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=2e-3,
            warmup_steps=0.1,
            weight_decay=0.01,
            optim="adamw_torch_fused",
            bf16=precision == "bf16",
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[logged],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return logged.steps, dict(trainer.model.state_dict())


# In bf16, every product is rounded to 8 bits, in another order on each side.
@pytest.mark.parametrize(
    ("precision", "epochs", "relative", "absolute"), [("fp32", 3, 1e-4, 1e-7), ("bf16", 1, 0.03, 0)]
)
def test_losses_norms_learning_rates_and_weights_equal_those_of_the_trainer(
    precision: str,
    epochs: int,
    relative: float,
    absolute: float,
    settings: Callable[..., dict[str, Any]],
    tiny_weights: Path,
    reviews_csv: Path,
    tmp_path: Path,
) -> None:
    validation = write_csv(tmp_path / "validation.csv", ("text", "label"), labelled_texts(8, seed=6))
    changes = {
        "model.dropout": 0,
        "data.validation": str(validation),
        "train.epochs": epochs,
        "train.batch_size": BATCH,
        "train.lr": 2e-3,
        "train.seed": SEED,
        "machine.precision": precision,
    }
    run, _ = train(reviews_csv, tmp_path / "run", settings(**changes))
    expected, weights = by_trainer(tiny_weights, tmp_path / "trainer", precision, epochs)
    found = [(line["loss"], line["grad_norm"], line["lr"]) for line in run.metrics()]
    assert len(found) == PER_EPOCH * epochs
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)
    most = 1e-4 if precision == "fp32" else 5e-3
    stored = load_file(run.model_path / "model.safetensors")
    for name, tensor in stored.items():
        if name.endswith("key.bias"):  # no output depends on it, so its gradient consists of rounding errors
            continue
        torch.testing.assert_close(
            tensor, weights[name], rtol=0, atol=most, msg=lambda m, n=name: f"{n}: {m}"
        )
