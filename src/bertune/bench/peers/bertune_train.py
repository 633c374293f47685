"""Benchmarks training with bertune: a complete run whose steps are timed from outside."""

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bertune.allocator import tune_allocator
from bertune.bench.clock import StepClock
from bertune.bench.floor import Load
from bertune.bench.job import LABEL_COLUMN, TEXT_COLUMNS, Job
from bertune.bench.peers import arguments
from bertune.bench.result import write_result
from bertune.manifest import ManifestRecord
from bertune.manifest.training import BlockRecord, ModelRecord
from bertune.source import resolve_source
from bertune.text.batches import micro_batches, step_examples
from bertune.training.events import DataReady, Started, Stepped
from bertune.training.fit import train_source
from bertune.training.preparing import Prepared

_NEVER = 10**9  # steps


def overrides(job: Job, seed: int) -> dict[str, dict[str, Any]]:
    """The settings of a job; it evaluates and writes checkpoints only if the job saves."""
    every = "epoch" if job.saves else _NEVER
    return {
        "data": {
            "validation": job.held_out,
            "text": list(TEXT_COLUMNS[job.num_columns]),
            "label": LABEL_COLUMN,
        },
        "model": {"name": job.model, "max_length": job.max_length, **job.settings.get("model", {})},
        "train": {
            "epochs": job.epochs,
            "batch_size": job.batch_size,
            "lr": job.lr,
            "warmup": job.warmup,
            "weight_decay": job.weight_decay,
            "freeze": job.freeze,
            "seed": seed,
            "evaluate_every": every,
            "checkpoint_every": every,
        },
        **{key: dict(values) for key, values in job.settings.items() if key not in ("model", "train")},
    }


def train(job: Job, seed: int) -> dict[str, Any]:
    """Trains a job and returns the measurements."""
    prepared, manifest = None, None
    arguments.import_model_class(job.model)
    tune_allocator()  # as `bertune train` does
    with tempfile.TemporaryDirectory() as folder:
        events = train_source(resolve_source(job.texts, overrides(job, seed)), Path(folder) / "run")
        clock = StepClock(job)
        for event in events:
            if isinstance(event, DataReady):
                # A job that is timed as a whole includes loading the model and filling the caches.
                prepared, clock = event.prepared, StepClock(job)
            elif isinstance(event, Started):
                manifest = event.run.record
            elif isinstance(event, Stepped):
                clock.tick()
                if clock.is_done or (event.step.number == event.total and not job.saves):
                    break
        events.close()  # type: ignore[attr-defined]
    assert prepared is not None and manifest is not None, "training yields DataReady and Started first"
    loads = list(islice(_loads(job, seed, prepared, manifest), clock.first + clock.steps))
    return clock.result(loads, forward=_model(manifest).forward, **_parameters(prepared, manifest))


def _loads(job: Job, seed: int, prepared: Prepared, manifest: ManifestRecord) -> Iterator[tuple[Load, Load]]:
    """The load of each step without and with padding; both are equal if the forward pass is packed."""
    lengths = np.array([len(s) for s in prepared.splits["train"].sequences])
    is_packed = (_model(manifest).forward or "").startswith("packed")
    for positions in step_examples(len(lengths), job.batch_size, seed):
        step = lengths[positions].tolist()
        own = Load.of(step)
        if is_packed:
            yield own, own
            continue
        cuts = micro_batches(step, int((manifest.machine or {})["tokens"] or 0))
        yield own, sum((Load.of([max(step[i] for i in cut)] * len(cut)) for cut in cuts), Load())


def _parameters(prepared: Prepared, manifest: ManifestRecord) -> dict[str, int]:
    """The number of trained parameters, and of those that receive a gradient from some text."""
    from bertune.hugging_face import load_config

    blocks = {block.name: block for block in _model(manifest).blocks or []}
    trained = sum(block.parameters or 0 for block in blocks.values() if block.trained)
    config = load_config(prepared.pretrained.folder)
    width = getattr(config, "embedding_size", config.hidden_size)
    used = len(np.unique(np.concatenate([s.ids for s in prepared.splits["train"].sequences])))
    unused = (config.vocab_size - used) * width
    embeddings = blocks.get("embeddings", BlockRecord())
    if not embeddings.trained:
        unused = 0
    elif (embeddings.parameters or 0) < config.vocab_size * width:
        trained += unused  # the manifest counts only the rows in use
    return {"trained_parameters": trained, "updated_parameters": trained - unused, "used_ids": used}


def _model(manifest: ManifestRecord) -> ModelRecord:
    return manifest.model or ModelRecord()


def main() -> None:
    """Trains and prints the measurements."""
    options = arguments.parser(__doc__).parse_args()
    write_result(train(options.job, options.seed))


if __name__ == "__main__":
    main()
