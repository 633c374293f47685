"""Owns what a run records about itself before its first step."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from typing import Any

from bertune.nn.blocks import blocks
from bertune.nn.device import Machine
from bertune.nn.model import TextModel
from bertune.prepare import Prepared
from bertune.source import Source
from bertune.training.loop import Plan
from bertune.training.session import best_metric

_RECORDED = ("bertune", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")


def first_manifest(
    source: Source, prepared: Prepared, model: TextModel, machine: Machine, plan: Plan
) -> dict[str, Any]:
    """Plain JSON: data, lengths, model, plan, machine and versions."""
    config = prepared.config
    parts = blocks(model)
    return {
        "name": source.name,
        "status": "training",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": source.given,
        "task": config.task.name,
        "row_noun": prepared.encoder.fitted.task.noun,
        "primary": best_metric(config.train.best_metric, prepared.encoder.fitted),
        "labels": list(prepared.encoder.fitted.labels),
        "notes": list(prepared.notes),
        "warnings": list(prepared.warnings),
        **prepared.audit,
        "model": {
            "name": config.model.name,
            "weights": prepared.pretrained.weights,
            "class": type(model.hf).__name__,
            "forward": "packed" if model.why_padded is None else f"padded: {model.why_padded}",
            "parameters": sum(block.num_parameters for block in parts),
            "blocks": [
                {"name": b.name, "parameters": b.num_parameters, "trained": b.is_trained} for b in parts
            ],
        },
        "training": {
            "total_steps": plan.total,
            "steps_per_epoch": plan.per_epoch,
            "warmup_steps": plan.warmup,
            "steps_done": 0,
        },
        "machine": {
            "device": str(machine.device),
            "device_name": machine.device_name,
            "precision": machine.precision,
            "threads": machine.threads,
            "tokens": machine.micro_batch_tokens,
        },
        "versions": {name: importlib.metadata.version(name) for name in _RECORDED}
        | {"python": platform.python_version()},
        "scores": {},
        "details": {},
        "timings": {},
    }
