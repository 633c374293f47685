"""Export a finished run: write the folder under a temporary name, pass the gate, then rename it."""

import datetime
import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertune.config import Settings
from bertune.errors import ConfigError, DataError, ModelError
from bertune.export.formats import Format, Tolerance, format_named, tolerance_of
from bertune.export.gate import Examples, Gate, as_json, measure_speed
from bertune.export.readme import write_readme
from bertune.export.reference import sample_of, write_reference
from bertune.export.rows import StoredRows
from bertune.export.staging import Staging, building, refuse_other_folder
from bertune.export.validation import Validation, validation_rows
from bertune.export.weights import size_mb, weights_sha256
from bertune.export.writing import PARITY, Job, Progress, write_model
from bertune.files import give_usual_permissions, shell_word, write_json
from bertune.metadata import recorded_metadata, write_metadata
from bertune.optional_packages import require
from bertune.predict.loading import load_model
from bertune.predict.model import Model
from bertune.run import Run, open_run, refuse_older_manifest, verify
from bertune.settings import resolve
from bertune.training.preparing import fingerprint
from bertune.training.selection import best_metric

_SECTIONS = ("data", "model", "task", "machine", "export")  # of the settings that an export takes
_SEARCH_ROWS = 1000  # rows on which versions of a graph are compared before they are compared on all rows


@dataclass(frozen=True)
class Export:
    """An export that has passed the gate."""

    path: Path
    parity: Mapping[str, Any]  # the content of parity.json


@dataclass(frozen=True)
class _Request:
    """The export to make, after all checks that need no computation."""

    run: Run
    name: str  # name of the format
    kind: Format
    tolerance: Tolerance
    reference_rows: int
    threads: int | None
    settings: Settings
    folder: Path  # where the export will be


def export_run(path: Path, name: str, settings: Settings, out: Path | None, on_progress: Progress) -> Export:
    """Export the run at `path` in the format `name`, and compare it with the trained model.

    `out` is the folder of the export; None for export/NAME in the run. An earlier export there is replaced.
    Raises GateError, and removes the export, if it differs too much. Raises InputError.
    """
    request = _request(path, name, settings, out)
    on_progress("reading the validation rows")
    validation = validation_rows(request.run, settings)
    trained = load_model(request.run, _loading(settings))
    with building(request.folder) as staging:
        return _build(request, validation, trained, staging, on_progress)


def _request(path: Path, name: str, settings: Settings, out: Path | None) -> _Request:
    """Check everything that can be checked at once. Raises InputError, MissingPackageError."""
    config = resolve(settings)
    kind, tolerance = format_named(name), tolerance_of(name, config.export)
    if "precision" in config.machine.model_fields_set:
        raise ConfigError(
            "machine.precision does not apply to an export: --to determines its precision, and the trained "
            "model that it is compared with computes in fp32. Remove the setting"
        )
    foreign = [section for section in settings if section not in _SECTIONS]
    if foreign:
        key = f"{foreign[0]}.{next(iter(settings[foreign[0]]))}"
        raise ConfigError(f"{key} does not apply to an export. Remove the setting")
    run = open_run(path)
    refuse_older_manifest(run)
    if run.manifest.get("status") != "complete":
        raise ModelError(
            f"{run.path}: training is not complete. Continue with: bertune train {shell_word(run.path)} "
            "--resume"
        )
    if kind.graph is not None:
        require("export", f"to export as {name}", ("onnx", "onnxscript", "onnxruntime"))
    verify(run)
    folder = (run.path / "export" / name) if out is None else out
    refuse_other_folder(folder)
    threads = None if config.machine.threads == "auto" else int(config.machine.threads)
    return _Request(run, name, kind, tolerance, config.export.reference_rows, threads, settings, folder)


def _build(
    request: _Request, validation: Validation, trained: Model, staging: Staging, on_progress: Progress
) -> Export:
    """Build the export in `staging`, and compare it with the trained model. Raises GateError."""
    rows, run, folder = validation.rows, request.run, staging.export
    primary = _primary(run, trained)

    def gate_on(rows: StoredRows) -> tuple[Examples, Gate]:
        examples = Examples.of(trained, rows.examples(trained.fitted.task))
        expected = examples.results(trained.backend, primary)
        return examples, Gate(examples.examples, expected, request.tolerance)

    reference = rows.at(sample_of(rows, validation.keys, request.reference_rows))
    _refuse_unstorable(reference, trained)
    on_progress(f"predicting {len(rows):,} validation rows with the trained model")
    examples, gate = gate_on(rows)
    some = sample_of(rows, validation.keys, _SEARCH_ROWS)
    is_all = len(some) == len(rows)
    job = Job(
        run, request.name, request.kind, trained, weights_sha256(run.model_path), request.threads,
        (examples, gate) if is_all else gate_on(rows.at(some)), (examples, gate), on_progress,
    )  # fmt: skip
    facts = write_model(job, staging)
    on_progress("comparing the export with the trained model")
    is_graph = request.kind.graph is not None
    exported = load_model(folder, _loading(request.settings, is_graph=is_graph))
    comparison = gate.passed(request.name, exported)
    usual = load_model(run, _loading(request.settings, is_reference=False))  # in its usual precision
    parity = {
        "format": request.name,
        "bertune": importlib.metadata.version("bertune"),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "weights_sha256": job.weights_sha256,
        **as_json(comparison, gate),
        "speed": {
            "model": asdict(measure_speed(usual, examples.examples)),
            "export": asdict(measure_speed(exported, examples.examples)),
        },
        "size_mb": {"model": size_mb(run.model_path), "export": size_mb(folder)},
        **facts,
    }
    if len(reference):
        write_reference(folder, reference, gate_on(reference)[1].expected, trained.metadata)
    write_json(folder / PARITY, parity)
    metadata = recorded_metadata(folder)
    assert metadata is not None, "written with the model"
    write_readme(folder, metadata, trained.fitted, parity)
    give_usual_permissions(folder)
    write_metadata(folder, metadata)
    return Export(request.folder, parity)


def _loading(settings: Settings, is_reference: bool = True, is_graph: bool = False) -> Settings:
    """Settings to load a model with: those of `bertune export` that concern the model and its code.

    With `is_reference`, in fp32. A graph includes a custom head, and runs on the CPU in its own precision.
    """
    found: Settings = {section: dict(settings.get(section, {})) for section in ("task", "model", "machine")}
    found["model"].pop("name", None)
    found["data"] = {key: value for key, value in settings.get("data", {}).items() if key == "reader"}
    if is_graph:
        found["model"].pop("head", None)
        found["machine"].pop("device", None)
    elif is_reference:
        found["machine"]["precision"] = "fp32"
    return found


def _primary(run: Run, trained: Model) -> str:
    """The score that selected the checkpoint; the usual one of the task if that was the loss."""
    fitted = trained.fitted
    name = best_metric(run.config.train.best_metric, fitted)
    return fitted.task.primary if name == "loss" else name


def _refuse_unstorable(reference: StoredRows, trained: Model) -> None:
    """Raise DataError unless the rows give the same examples when they are read from the export.

    Otherwise `bertune verify` would fail. Called before minutes of work.
    """
    if not len(reference):
        return
    task = trained.fitted.task
    expected = reference.examples(task)
    found = reference.as_read().examples(task)
    same = fingerprint(found) == fingerprint(expected) and [e.id for e in found] == [e.id for e in expected]
    if not same:
        pairs = zip(expected, found, strict=True)
        first = next(e for e, f in pairs if e.id != f.id or fingerprint([e]) != fingerprint([f]))
        raise DataError(
            f"{first.origin}: the task reads this row differently after it was stored as JSON, so the export "
            "could not be verified later. Set export.reference_rows=0 to export without stored rows"
        )
