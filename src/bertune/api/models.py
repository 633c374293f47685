"""Public functions that use a trained model: `load`, `predict`, `evaluate`, `decide`, `export`, `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune.api.runs import report
from bertune.api.training import Settings
from bertune.errors import ConfigError
from bertune.files import as_path
from bertune.optional_packages import PACKAGES, is_installed, require
from bertune.run import Run, is_run, open_run
from bertune.settings import nested

if TYPE_CHECKING:
    from bertune.export.exporting import Export
    from bertune.predict.model import Model
    from bertune.predict.redeciding import Decision
    from bertune.predict.results import Evaluation


def load(source: Run | str | Path, *, settings: Settings = None) -> Model:
    """Load a trained model from a run, a run folder or a model folder. Raises InputError."""
    from bertune.predict.loading import load_model

    return load_model(source, nested(settings))


def evaluate(source: Run | Model | str | Path, data: object, *, settings: Settings = None) -> Evaluation:
    """Evaluate a trained model on a labelled file, named data set or table, or on (texts, labels).

    Raises InputError.
    """
    return _model(source, settings).evaluate(data)


def predict(
    source: Run | Model | str | Path, data: Iterable[Any] | str | Path, *, settings: Settings = None
) -> list[Any]:
    """Predict a list of texts or of tuples of texts, or every row of a file, named data set or table.

    Returns the predictions in order; None for a row without text. Raises InputError.
    """
    return _model(source, settings).predict(Path(data) if isinstance(data, str) else data)


def _model(source: Run | Model | str | Path, settings: Settings) -> Model:
    from bertune.predict.model import Model

    if not isinstance(source, Model):
        return load(source, settings=settings)
    if settings:
        raise ConfigError("the model is already loaded. Pass settings= to bertune.load instead")
    return source


def decide(source: Run | str | Path, data: object, *, settings: Settings = None) -> Decision:
    """Fit the calibration and the decision rule of a trained model to labelled data, and store them with it.

    `settings` are from the section [decide], such as {"decide.max_error": 0.02}. The data must not have been
    used for training or to select the checkpoint. `source` can be a run, a model folder or an export; each of
    them has its own rule. Raises InputError.
    """
    from bertune.predict.redeciding import decide as fit_rule

    found = fit_rule(source, data, nested(settings))
    if is_run(run := found.folder.parent) and Run(run).model_path == found.folder:
        _record_decision(run, found)
    return found


def _record_decision(run: Path, found: Decision) -> None:
    """Update the manifest of a run, its model card and its report, so that they describe the rule in use."""
    from bertune.run_writer import record_decision
    from bertune.training.model_card import replace_sentence

    record, decided = open_run(run).record, found.decided
    before = None if record.decision is None else record.decision.sentence
    entries = {} if decided.keeps_temperature else {"calibration": decided.calibration}
    warnings = [text for text in record.warnings or [] if text != before]
    record_decision(run, decision=decided.decision, warnings=warnings, **entries)
    replace_sentence(found.folder, before, found.sentence)
    if is_installed("jinja2") and is_installed("matplotlib"):  # a runtime without them has no report
        report(run)


def export(
    run: Run | str | Path,
    to: str = "onnx",
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Export:
    """Export a finished run, compare the export with the trained model, and return its folder and comparison.

    Args:
        run: a run or run folder.
        to: the format: onnx, onnx-int8, onnx-fp16, safetensors or safetensors-bf16.
        settings: limits such as {"export.max_flips": 0.01}, new paths of the data files, custom code.
        out: the folder of the export; None for export/FORMAT in the run folder.
        on_progress: called with one line per stage.

    Raises:
        GateError: the export differs from the trained model by more than the limits; it was removed.
        InputError, ResourceError, MissingPackageError.
    """
    require("export", "to export a model", PACKAGES["train"])
    from bertune.export.exporting import export_run
    from bertune.reporting.write import write_report

    path = run.path if isinstance(run, Run) else as_path(run, "the run")
    target = None if out is None else as_path(out, "out")
    found = export_run(path, to, nested(settings), target, on_progress)
    if target is None:
        write_report(open_run(path))
    return found


def verify(export: str | Path, *, settings: Settings = None) -> Mapping[str, Any]:
    """Compare an export with the stored results of the trained model, and return the comparison.

    ONNX exports need no torch. Raises GateError if a file has changed or a result differs by more than the
    limits, and InputError.
    """
    from bertune.export.verifying import verify_export

    return verify_export(as_path(export, "the export"), nested(settings))
