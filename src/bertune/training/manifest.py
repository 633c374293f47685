"""The manifest of a run before its first step."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from functools import cache

from bertune.manifest import ManifestRecord
from bertune.manifest.data import DataRecord, MaxLengthRecord
from bertune.manifest.training import BlockRecord, ModelRecord, TrainingRecord
from bertune.nn.blocks import blocks
from bertune.nn.device import Machine
from bertune.nn.model import TextModel
from bertune.nn.plain import class_name
from bertune.run import FORMAT
from bertune.training.loop import Plan
from bertune.training.preparing import Prepared
from bertune.training.selection import best_metric

_RECORDED = ("bertune", "torch", "transformers", "tokenizers", "numpy")


def first_manifest(
    name: str, given: str, prepared: Prepared, model: TextModel, machine: Machine, plan: Plan
) -> ManifestRecord:
    """Record data, lengths, model, plan, machine and versions. Raises ConfigError for an unknown metric."""
    config, fitted = prepared.config, prepared.encoder.fitted
    return ManifestRecord(
        format=FORMAT,
        name=name,
        status="training",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=given,
        task=config.task.name,
        row_noun=fitted.task.noun,
        primary=best_metric(config.train.best_metric, fitted),
        labels=list(fitted.labels),
        notes=list(prepared.notes),
        warnings=list(prepared.warnings),
        data=DataRecord.model_validate(prepared.audit["data"]),
        max_length=MaxLengthRecord.model_validate(prepared.audit["max_length"]),
        model=_model_record(prepared, model),
        training=TrainingRecord(
            total_steps=plan.total, steps_per_epoch=plan.per_epoch, warmup_steps=plan.warmup, steps_done=0
        ),
        machine={
            "device": str(machine.device),
            "device_name": machine.device_name,
            "precision": machine.precision,
            "threads": machine.threads,
            "tokens": machine.micro_batch_tokens,
        },
        versions=_versions() | {"python": platform.python_version()},
        scores={},
        details={},
        timings={},
    )


@cache  # parses the metadata of each package
def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _RECORDED}


def _model_record(prepared: Prepared, model: TextModel) -> ModelRecord:
    parts = blocks(model)
    return ModelRecord(
        name=prepared.config.model.name,
        weights=prepared.pretrained.weights,
        class_name=class_name(model.hf),
        forward="packed" if model.why_padded is None else f"padded: {model.why_padded}",
        parameters=sum(block.num_parameters for block in parts),
        blocks=[BlockRecord(name=b.name, parameters=b.num_parameters, trained=b.is_trained) for b in parts],
    )
