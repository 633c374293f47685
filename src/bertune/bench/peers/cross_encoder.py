"""Benchmarks training with sentence-transformers' CrossEncoderTrainer, in fp32 or in bf16 at its fastest.

It tokenizes in every step, which is included in the time, and pads to the longest row of a batch. It cannot
group batches by length.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any

from bertune.bench.clock import StepClock
from bertune.bench.extra import need
from bertune.bench.floor import Load
from bertune.bench.job import Job
from bertune.bench.peers import arguments
from bertune.bench.peers.trainer import clocked, fastest_settings, plain_settings
from bertune.bench.result import write_result

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
_UNKNOWN_TO_IT = ("train_sampling_strategy", "per_device_eval_batch_size")


def train(job: Job, precision: str, seed: int) -> dict[str, Any]:
    """Trains a job of pairs and returns the measurements.

    Requires sentence-transformers, datasets and accelerate.
    """
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import CrossEntropyLoss
    from transformers import PrinterCallback, set_seed

    set_seed(seed)
    items, number = job.items(), {label: i for i, label in enumerate(job.labels)}
    columns = zip(*(texts for texts, _ in items), strict=True)
    rows = {f"text_{position}": list(column) for position, column in enumerate(columns)}
    model = CrossEncoder(
        job.model,
        trust_remote_code=False,
        num_labels=len(job.labels),
        max_length=job.max_length,
        device=job.device,
    )
    loads: list[tuple[Load, Load]] = []
    clock = StepClock(job, period=min(10, job.period))
    fastest = {k: v for k, v in fastest_settings(precision).items() if k not in _UNKNOWN_TO_IT}
    with tempfile.TemporaryDirectory() as folder:
        trainer = CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(
                **plain_settings(job, seed, folder) | (fastest if precision == "bf16" else {})
            ),
            train_dataset=Dataset.from_dict({**rows, "label": [number[label] for _, label in items]}),
            loss=CrossEntropyLoss(model),
            callbacks=[clocked(clock)],
        )
        trainer.remove_callback(PrinterCallback)  # stdout is for the result
        model.preprocess = _counting(model.preprocess, loads)
        trainer.train()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return clock.result(loads, trained_parameters=trained)


def _counting(preprocess: Callable[..., Any], loads: list[tuple[Load, Load]]) -> Callable[..., Any]:
    """Wraps the tokenization to record the load of each batch; this trainer's data loader yields texts."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        tokens = preprocess(*args, **kwargs)
        mask_BL = tokens["attention_mask"]
        size, longest = mask_BL.shape
        loads.append((Load.of(mask_BL.sum(1).tolist()), Load.of([longest] * size)))
        return tokens

    return counted


def main() -> None:
    """Trains and prints the measurements."""
    need("accelerate", "datasets", "sentence_transformers")
    parser = arguments.parser(__doc__)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    options = parser.parse_args()
    write_result(train(options.job, options.precision, options.seed))


if __name__ == "__main__":
    main()
