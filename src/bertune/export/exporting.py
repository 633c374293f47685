"""Export a finished run: write the folder under a temporary name, pass the gate, then rename it."""

import datetime
import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import Settings
from bertune.errors import ConfigError, ModelError
from bertune.export.formats import Format, Tolerance, format_named, tolerance_of
from bertune.export.gate import as_json, measure_speed, pass_gate
from bertune.export.graph import write_graph
from bertune.export.readme import write_readme
from bertune.export.reference import Values, flat, results_of, sample_of, write_reference
from bertune.export.validation import Validation, validation_rows
from bertune.files import (
    disk_errors,
    give_usual_permissions,
    remove,
    replace_folder,
    sha256_of,
    shell_word,
    temporary_name,
    write_json,
)
from bertune.metadata import FILE, ExportMetadata, ModelMetadata, recorded_metadata, write_metadata
from bertune.optional_packages import needs
from bertune.predict.loading import load_model
from bertune.predict.model import Model
from bertune.run import Run, open_run, refuse_older_manifest, verify
from bertune.settings import resolve

PARITY = "parity.json"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """An export that has passed the gate."""

    path: Path
    parity: Mapping[str, Any]  # the content of parity.json


@dataclass(frozen=True)
class _Request:
    """What to export, after all checks that need no computation."""

    run: Run
    name: str  # of the format
    kind: Format
    tolerance: Tolerance
    reference_rows: int
    settings: Settings
    folder: Path  # where the export will be


def export_run(path: Path, name: str, settings: Settings, out: Path | None, on_progress: Progress) -> Export:
    """Export the run at `path` in the format `name`, and compare it with the trained model.

    `out` is the folder of the export; None for export/NAME in the run. An earlier export there is replaced.
    Raises GateError if the export differs too much; nothing is left of it then. Raises InputError.
    """
    config = resolve(settings)
    kind, tolerance = format_named(name), tolerance_of(name, config.export)
    run = open_run(path)
    refuse_older_manifest(run)
    if run.manifest.get("status") != "complete":
        raise ModelError(
            f"{run.path}: training is not complete. Continue with: bertune train {shell_word(run.path)} "
            "--resume"
        )
    verify(run)
    folder = (run.path / "export" / name) if out is None else out
    _refuse_other_folder(folder)
    request = _Request(run, name, kind, tolerance, config.export.reference_rows, settings, folder)
    if kind.graph is None:
        return _export(request, on_progress)
    with needs("onnx", f"to export as {name}"), needs("onnxscript", f"to export as {name}"):
        import onnx  # noqa: F401 - before minutes of work
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    return _export(request, on_progress)


def _export(request: _Request, on_progress: Progress) -> Export:
    on_progress("reading the validation rows")
    run, folder = request.run, request.folder
    validation = validation_rows(run, request.settings)
    rows = flat(validation.groups)
    trained = load_model(run, _for_reference(request.settings))
    on_progress(f"predicting {len(validation.groups):,} validation rows with the trained model")
    expected = results_of(trained, rows)
    staging = folder.with_name(temporary_name(f"{folder.name}-{os.getpid()}"))
    try:
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove(staging)
            on_progress(f"writing the {request.kind.description}")
            facts = _write_model(request, trained, staging)
            on_progress("comparing the export with the trained model")
            exported = load_model(staging, _without_head(_for_reference(request.settings)))
            passed = pass_gate(request.name, expected, exported, rows, request.tolerance)
            parity = {
                "format": request.name,
                "bertune": importlib.metadata.version("bertune"),
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "weights_sha256": weights_sha256(run.model_path),
                **as_json(passed),
                "speed": {
                    "model": asdict(measure_speed(trained, rows)),
                    "export": asdict(measure_speed(exported, rows)),
                },
                "size_mb": {"model": _size_mb(run.model_path), "export": _size_mb(staging)},
                **facts,
            }
            _write_rest(staging, trained, validation, parity, request.reference_rows)
            retired = replace_folder(staging, folder)
            if retired is not None:
                remove(retired)
    finally:
        remove(staging)
    return Export(folder, parity)


def _for_reference(settings: Settings) -> Settings:
    """Settings to load a model with, in fp32 unless set otherwise, so that precision makes no difference."""
    data = {key: value for key, value in settings.get("data", {}).items() if key == "reader"}
    machine = {"precision": "fp32", **settings.get("machine", {})}
    found: Settings = {"data": data, "machine": machine}
    return found | {section: dict(settings[section]) for section in ("task", "model") if section in settings}


def _without_head(settings: Settings) -> Settings:
    """The settings without a custom head, which is part of an exported graph."""
    model = {key: value for key, value in settings.get("model", {}).items() if key != "head"}
    return {**settings, "model": model}


def _write_model(request: _Request, trained: Model, folder: Path) -> dict[str, Any]:
    """Write the weights or the graph with all files around them. Returns facts for parity.json."""
    source = request.run.model_path
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(FILE, *_WEIGHTS))
    assert request.kind.graph is not None
    path = folder / request.kind.graph
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = write_graph(source, trained.metadata, trained.fitted.head, path)
    export = ExportMetadata(
        format=request.name,
        graph=request.kind.graph,
        auto_class=facts.auto_class,
        outputs=facts.outputs,
        pooling=facts.pooling,
        vocab_size=facts.vocab_size,
        pad_id=facts.pad_id,
        weights_sha256=weights_sha256(source),
    )
    write_metadata(folder, _exported(trained.metadata, export))
    return {}


def _exported(metadata: ModelMetadata, export: ExportMetadata) -> ModelMetadata:
    """The metadata of an export, whose graph contains the head."""
    own = {name: digest for name, digest in (metadata.own_files or {}).items() if name != metadata.head}
    return replace(metadata, head="auto", own_files=own, precision="auto", export=export)


def _write_rest(
    folder: Path, trained: Model, validation: Validation, parity: Mapping[str, Any], most: int
) -> None:
    """Write reference, parity.json and README, and seal the folder with the checksums of all files."""
    rows: list[Values] = flat(sample_of(validation.groups, validation.keys, most))
    if rows:
        write_reference(folder, rows, results_of(trained, rows))
    write_json(folder / PARITY, parity)
    metadata = recorded_metadata(folder)
    assert metadata is not None, "written with the graph"
    write_readme(folder, metadata, parity)
    give_usual_permissions(folder)
    write_metadata(folder, metadata)


def weights_sha256(folder: Path) -> str:
    """The sha256 of the weights of a model folder; of several files, that of their names and digests."""
    files = sorted(folder.glob("*.safetensors"))
    if [path.name for path in files] == ["model.safetensors"]:
        return sha256_of(files[0])
    listing = "".join(f"{path.name} {sha256_of(path)}\n" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _size_mb(folder: Path) -> float:
    """The size of weights and graphs in MB (10**6 bytes)."""
    files = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".onnx")]
    return round(sum(path.stat().st_size for path in files) / 1e6, 2)


def _refuse_other_folder(folder: Path) -> None:
    """Raise ConfigError if `folder` exists and is not an export, which may be replaced."""
    if not os.path.lexists(folder):
        return
    found = recorded_metadata(folder) if folder.is_dir() else None
    if found is None or found.export is None:
        raise ConfigError(f"{folder} already exists and is not an export. Use another --out, or remove it")
