"""Write the weights or the graph of an export, with the files that describe them."""

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import TaskConfig
from bertune.errors import GateError, InputError
from bertune.export import protos
from bertune.export.formats import FORMATS, Format
from bertune.export.gate import Examples, Gate, refusal
from bertune.export.half import IN_FP32, write_half
from bertune.export.int8 import Trial, quantize_within
from bertune.export.quantization import Quantizer
from bertune.export.staging import Staging
from bertune.export.weights import PATTERNS, copy_weights, write_bf16
from bertune.files import read_object
from bertune.metadata import (
    FILE,
    ExportMetadata,
    ModelMetadata,
    read_metadata,
    verified,
    write_metadata,
)
from bertune.predict.backend import Backend
from bertune.predict.graphs import Graph, GraphMachine
from bertune.predict.model import Model
from bertune.predict.onnx_backend import OnnxBackend
from bertune.run import Run

PARITY = "parity.json"
_FULL = "onnx"  # the format whose graph the others are converted from
_BF16 = "safetensors-bf16"

Progress = Callable[[str], None]
Facts = dict[str, Any]  # for parity.json


@dataclass(frozen=True)
class Job:
    """A model to export, and what its export is compared with."""

    run: Run
    name: str  # name of the format
    kind: Format
    trained: Model
    weights_sha256: str
    threads: int | None  # threads of ONNX Runtime; None: all cores
    some: tuple[Examples, Gate]  # on which versions of a graph are compared first
    all: tuple[Examples, Gate]
    on_progress: Progress


def write_model(job: Job, staging: Staging) -> Facts:
    """Write everything but the comparison to `staging.export`. Returns facts for parity.json.

    Raises GateError if no version of the graph is within the tolerance, and ModelError.
    """
    source, folder = job.run.model_path, staging.export
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FILE, *PATTERNS))
    job.on_progress(f"writing the {job.kind.description}")
    trained = _recorded(job)
    if job.kind.graph is None:
        (write_bf16 if job.name == _BF16 else copy_weights)(source, folder)
        write_metadata(folder, replace(trained, export=_of_weights(job)))
        return {}
    export, full = _full_graph(job, staging)
    target = folder / job.kind.graph
    target.parent.mkdir(parents=True)
    facts = _converted(job, export, full, target, staging.work)
    # The head is part of the graph.
    own = {name: digest for name, digest in (trained.own_files or {}).items() if name != trained.head}
    write_metadata(folder, replace(trained, head="auto", own_files=own, precision="auto", export=export))
    return facts


def _recorded(job: Job) -> ModelMetadata:
    """The metadata of the model with the settings of this export. The user's files keep the names that they
    had in training, by which their checksums are recorded."""
    recorded, used = read_metadata(job.run.model_path), job.trained.metadata
    task = TaskConfig(name=recorded.task.name, **used.task.options)
    return replace(recorded, task=task, max_length=used.max_length, length_limit=used.length_limit)


def _of_weights(job: Job) -> ExportMetadata:
    config = read_object(job.run.model_path / "config.json")
    return ExportMetadata(
        format=job.name,
        graph=None,
        auto_class=job.trained.fitted.head.auto_class,
        outputs=(),
        pooling=None,
        vocab_size=config["vocab_size"],
        pad_id=config.get("pad_token_id") or 0,
        weights_sha256=job.weights_sha256,
    )


def _full_graph(job: Job, staging: Staging) -> tuple[ExportMetadata, Path]:
    """A graph in fp32: that of an earlier export of the same weights, if there is one, or a new one."""
    earlier = job.run.path / "export" / _FULL
    found = None if job.name == _FULL else _earlier_export(earlier, job.weights_sha256)
    if found is not None and found.graph is not None:
        job.on_progress(f"converting the graph in {earlier}")
        return replace(found, format=job.name, graph=job.kind.graph), earlier / found.graph
    from bertune.export.graph import write_graph

    path = staging.work / "full.onnx"
    facts = write_graph(job.run.model_path, job.trained.metadata, job.trained.fitted.head, path)
    export = ExportMetadata(
        format=job.name,
        graph=job.kind.graph,
        auto_class=facts.auto_class,
        outputs=facts.outputs,
        pooling=facts.pooling,
        vocab_size=facts.vocab_size,
        pad_id=facts.pad_id,
        weights_sha256=job.weights_sha256,
    )
    return export, path


def _earlier_export(folder: Path, weights_sha256: str) -> ExportMetadata | None:
    """The intact export in a folder, if this version of bertune wrote it from the same weights."""
    try:
        if not (folder / FILE).is_file():
            return None
        with verified(folder) as metadata:
            version = read_object(folder / PARITY).get("bertune")
    except InputError:
        return None  # damaged: a new graph takes its place
    export = metadata.export
    is_same = export is not None and export.weights_sha256 == weights_sha256
    return export if is_same and version == importlib.metadata.version("bertune") else None


def _converted(job: Job, export: ExportMetadata, full: Path, target: Path, work: Path) -> Facts:
    """Write the graph `full` to `target` in the format of the job. Raises GateError."""
    if job.name == _FULL:
        protos.save(protos.load(full), target)
        return {}

    def backend(path: Path) -> Backend:
        scale = job.trained.metadata.output_scale
        return OnnxBackend(Graph(path, GraphMachine(job.threads)), export, job.trained.fitted, scale)

    trial = Trial(job.some, job.all, backend)
    if job.kind is FORMATS["onnx-int8"]:
        quantizer = Quantizer(full, work)
        kept = quantize_within(quantizer, full, target, trial, job.on_progress)
        return {
            "parts": len(quantizer.units),
            "parts_in_fp32": [module for unit in kept for module in unit.modules],
        }
    write_half(full, target)
    wrong = trial.problems(target)
    if not wrong:
        return {}
    job.on_progress(f"with all operations in fp16, {'; '.join(wrong)}")
    write_half(full, target, IN_FP32)
    wrong = trial.problems(target)
    if wrong:
        raise GateError(f"{refusal(job.name, wrong)}. Use --to onnx, or raise the limit")
    return {"parts_in_fp32": list(IN_FP32)}
