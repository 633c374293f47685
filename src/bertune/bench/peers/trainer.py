"""Benchmarks training with the Hugging Face Trainer, in the configurations people use.

- tutorial: every text padded to the maximum length, fp32;
- documentation: padded to the longest text of the batch, fp32;
- best: as documentation, with bf16 autocast, batches grouped by length, no logging and no loss checks;
- compile: best under torch.compile.

All use fused AdamW, the Trainer's default. Texts are tokenized before timing starts and passed as a list,
which the Trainer's data loader reads faster than a Dataset.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertune.bench.clock import StepClock
from bertune.bench.extra import need
from bertune.bench.floor import Load
from bertune.bench.job import WARMUP_STEPS, Job, read_items
from bertune.bench.peers import arguments
from bertune.bench.result import write_result
from bertune.nn.model import set_dropout

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

WAYS = ("tutorial", "documentation", "best", "compile")
EVAL_BATCH = 64


def fastest_settings(precision: str) -> dict[str, Any]:
    """The fastest settings of the Trainer; `precision` is fp32 or bf16."""
    return {
        "bf16": precision == "bf16",
        "optim": "adamw_torch_fused",
        "train_sampling_strategy": "group_by_length",
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "per_device_eval_batch_size": EVAL_BATCH,
        "report_to": "none",
        "disable_tqdm": True,
    }


def plain_settings(job: Job, seed: int, folder: str) -> dict[str, Any]:
    """The training arguments for a job's recipe, without logging and checkpoints."""
    return {
        "output_dir": folder,
        "seed": seed,
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.batch_size,
        "learning_rate": job.lr,
        "lr_scheduler_type": "linear",
        "warmup_steps": job.warmup,  # a value below 1 is a fraction of all steps
        "weight_decay": job.weight_decay,
        "max_grad_norm": 1.0,
        "use_cpu": job.device == "cpu",
        "save_strategy": "no",
        "dataloader_pin_memory": job.device != "cpu",
        "report_to": "none",
        "disable_tqdm": True,
    }


def load_model(job: Job) -> Any:
    """The job's encoder with a new head, frozen as the job specifies."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(job.model, num_labels=len(job.labels), trust_remote_code=False)
    dropout = job.settings.get("model", {}).get("dropout")
    if dropout is not None:
        set_dropout(config, dropout)
    if any(Path(job.model).glob("*.safetensors")):
        model = AutoModelForSequenceClassification.from_pretrained(
            job.model, config=config, ignore_mismatched_sizes=True, trust_remote_code=False
        )
    else:
        model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    for parameter in _frozen(model.base_model, job.freeze):
        parameter.requires_grad_(False)
    return model


def _frozen(encoder: Any, freeze: str) -> list[Any]:
    if freeze == "encoder":
        return list(encoder.parameters())
    if freeze == "none":
        return []
    stack = getattr(encoder, "encoder", None) or encoder.transformer
    layers = list(stack.layer)[: int(freeze)] if freeze.isdigit() else []
    return [parameter for module in (encoder.embeddings, *layers) for parameter in module.parameters()]


def encode(job: Job, items: Any, tokenizer: Any, is_padded: bool = False) -> list[dict[str, Any]]:
    """One dictionary of features per text; padded to the maximum length if `is_padded`."""
    columns = [list(column) for column in zip(*(texts for texts, _ in items), strict=True)]
    padding = "max_length" if is_padded else False
    encoded = tokenizer(*columns, truncation=True, max_length=job.max_length, padding=padding)
    names, number = list(encoded), {label: i for i, label in enumerate(job.labels)}
    return [
        {**dict(zip(names, row, strict=True)), "labels": number[label]}
        for row, (_, label) in zip(zip(*encoded.values(), strict=True), items, strict=True)
    ]


def counting(collate: Callable[..., Any], loads: list[tuple[Load, Load]]) -> Callable[..., Any]:
    """Wraps a collator to record the load of each batch. The loader runs ahead of the steps, in order."""

    def counted(features: list[dict[str, Any]]) -> Any:
        batch = collate(features)
        mask_BL = batch["attention_mask"]
        size, longest = mask_BL.shape
        loads.append((Load.of(mask_BL.sum(1).tolist()), Load.of([longest] * size)))
        return batch

    return counted


def clocked(clock: StepClock) -> Any:
    """A Trainer callback that ticks the clock and stops training when enough steps were timed."""
    from transformers import TrainerCallback

    class Clocked(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock.tick()
            control.should_training_stop = control.should_training_stop or clock.is_done

    return Clocked()


def train(job: Job, way: str, seed: int) -> dict[str, Any]:
    """Trains a job in one of the configurations; returns the measurements. Requires accelerate."""
    from transformers import (
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    is_fast = way in ("best", "compile")
    tokenizer = AutoTokenizer.from_pretrained(job.model, trust_remote_code=False)
    features = encode(job, job.items(), tokenizer, way == "tutorial")
    loads: list[tuple[Load, Load]] = []
    arguments.import_model_class(job.model)
    clock = _clock(job, way)
    set_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        settings = plain_settings(job, seed, folder) | {"torch_compile": way == "compile"}
        trainer = Trainer(
            model=load_model(job),
            args=TrainingArguments(**settings | (fastest_settings(job.precision) if is_fast else {})),
            train_dataset=features,
            processing_class=tokenizer,
            data_collator=counting(
                default_data_collator if way == "tutorial" else DataCollatorWithPadding(tokenizer), loads
            ),
            callbacks=[clocked(clock)],
        )
        trainer.remove_callback(PrinterCallback)  # stdout is for the result
        trainer.train()
        if job.saves:
            held_out = read_items(Path(job.held_out), job.num_columns)
            trainer.evaluate(encode(job, held_out, tokenizer, way == "tutorial"))
            trainer.save_model(folder)
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return clock.result(loads, trained_parameters=trained)


def _clock(job: Job, way: str) -> StepClock:
    if way == "tutorial":
        return StepClock(job, period=3)  # all batches have the same length
    if way == "documentation":
        return StepClock(job, period=min(10, job.period))  # random batches: any number of steps is unbiased
    if way == "compile":
        # Each new length is recompiled until the compiler treats the length as dynamic.
        return StepClock(job, warmup=max(2 * WARMUP_STEPS, job.period))
    return StepClock(job)


def main() -> None:
    """Trains and prints the measurements."""
    need("accelerate")
    parser = arguments.parser(__doc__)
    parser.add_argument("--way", choices=WAYS, required=True)
    options = parser.parse_args()
    write_result(train(options.job, options.way, options.seed))


if __name__ == "__main__":
    main()
