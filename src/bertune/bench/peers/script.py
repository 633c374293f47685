"""Benchmarks a complete fine-tuning script: load, tokenize, train, evaluate, save.

The Trainer uses its fastest settings. The time includes everything from process start to exit, also imports.
"""

import os
from pathlib import Path
from typing import Any

from bertune.bench.extra import need
from bertune.bench.job import Job, read_items
from bertune.bench.peers import arguments
from bertune.bench.peers.trainer import encode, fastest_settings, load_model, plain_settings
from bertune.bench.result import write_result

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def fine_tune(job: Job, test: Path | None, out: Path, seed: int) -> dict[str, Any]:
    """Trains with evaluation after each epoch, evaluates on the test texts, and saves the model.

    Returns the losses and scores on the test texts.
    """
    from sklearn.metrics import accuracy_score, matthews_corrcoef
    from transformers import (
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    def scores(result: Any) -> dict[str, float]:
        predicted = result.predictions.argmax(-1)
        return {
            "accuracy": float(accuracy_score(result.label_ids, predicted)),
            "mcc": float(matthews_corrcoef(result.label_ids, predicted)),
        }

    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(job.model, trust_remote_code=False)
    held_out = encode(job, read_items(Path(job.held_out), job.num_columns), tokenizer)
    settings = plain_settings(job, seed, str(out)) | fastest_settings(job.precision)
    trainer = Trainer(
        model=load_model(job),
        args=TrainingArguments(**settings | {"eval_strategy": "epoch"}),
        train_dataset=encode(job, job.items(), tokenizer),
        eval_dataset=held_out,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=scores,
    )
    trainer.remove_callback(PrinterCallback)  # stdout is for the result
    trainer.train()
    found: dict[str, Any] = {}
    if test is not None:
        found = trainer.evaluate(encode(job, read_items(test, job.num_columns), tokenizer))
    trainer.save_model(str(out))
    return {key: value for key, value in found.items() if key.startswith("eval_")}


def main() -> None:
    """Trains and prints the scores on the test texts."""
    need("accelerate")
    parser = arguments.parser(__doc__)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write_result(fine_tune(options.job, options.test, options.out, options.seed))


if __name__ == "__main__":
    main()
