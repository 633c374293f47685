"""The public functions. They return values, raise BertuneError, and print nothing by default."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune.cross_validation import CrossValidation, is_cross_validation
from bertune.errors import ConfigError, DamagedError
from bertune.files import as_path
from bertune.gates import refuse_failed
from bertune.optional_packages import PACKAGES, is_installed, needs, require
from bertune.run import (
    CONFIG,
    MANIFEST,
    Run,
    is_run,
    open_run,
    start_again,
)
from bertune.settings import nested
from bertune.tuning import Tuning

if TYPE_CHECKING:
    from bertune.comparing import Comparison
    from bertune.export.exporting import Export
    from bertune.predict.model import Model
    from bertune.predict.redeciding import Decision
    from bertune.predict.results import Evaluation
    from bertune.source import Request
    from bertune.training.cross_validating import CrossValidationEvent
    from bertune.training.events import Event
    from bertune.training.preparing import Prepared

Settings = Mapping[str, Any] | None


def train(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Fine-tune a model and return the run, whose folder holds the model, scores, predictions and a report.

    Nothing is written before training begins.

    Args:
        source: a data file, a named data set, a settings file, a run folder to resume, a table (pandas,
            Arrow, Hugging Face dataset, list of dicts), or a list of texts or tuples of texts. To pass
            several splits, use a dict of tables or of (texts, labels) by split name.
        labels: the labels of `source` if it is a list of texts.
        settings: settings by key, such as {"train.epochs": 3}.
        out: the run folder; None for runs/NAME.
        resume: resume from the latest intact checkpoint of the run folder.
        progress: print the progress and the scores to stderr, as `bertune train` does.

    Raises:
        InputError, RunExistsError, RunBusyError, ResourceError, DivergedError, Interrupted.
        GateError: a final score misses its limit (gate.SCORE); the run is complete.
    """
    events = train_events(source, labels, settings=settings, out=out, resume=resume)
    if progress:
        from bertune.console import show
        from bertune.console.progress import result_line, watch

        console = show.messages()
        shown = watch(events, console)
        show.echo(console, result_line(shown.manifest))
        console.print(show.score_table(shown.manifest["scores"], shown.manifest.get("intervals")))
        refuse_failed(shown.manifest.get("gates"), str(shown.path))
        return shown
    from bertune.training.events import Finished, final

    run = final(events, Finished).run
    refuse_failed(run.manifest.get("gates"), str(run.path))
    return run


def train_events(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Fine-tune a model like `train`, as a generator of events; training advances as events are consumed.

    The events are, in this order: `Warned` for each file of a resumed run that was restored; `DataReady` when
    the data is read, checked and encoded; `Started` when the run folder exists; `Stepped` after every
    optimizer step and `Evaluated` after every evaluation, with `Noted` and `Warned` in between; and finally
    `Finished`, whose `run` is the return value of `train`. All are frozen dataclasses exported by `bertune`,
    for use in `match` statements. A run that is already complete yields only `Finished`. If the generator is
    closed early, the checkpoints saved so far remain.
    """
    require("train", "to train a model")  # before hours of training, not when the report is written
    from bertune.reporting.write import write_report
    from bertune.source import resolve_source
    from bertune.tracking.following import follow
    from bertune.training.events import Warned
    from bertune.training.fit import train_source
    from bertune.training.recovery import recover
    from bertune.training.seeds import train_seeds

    given = _run_folder(source, out, resume)
    restored = recover(given) if resume and given is not None else []
    resolved = resolve_source(source, settings, labels)
    folder = Path(os.path.abspath(given or Path("runs") / resolved.name))
    if resume and given is None:
        restored = recover(folder)
    yield from (Warned(text) for text in restored)
    several = resolved.config.train.seeds > 1
    events = (train_seeds if several else train_source)(resolved, folder, resume)
    yield from follow(events, resolved.config, folder, write_report)


def check(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
) -> Prepared:
    """Audit the data: read, split and encode it as for training. Raises InputError.

    With `out`, the splits are written to that folder: a file for each, with all columns of the original rows,
    and settings.toml, from which `train` reads the identical splits. Without it, nothing is written.
    """
    from bertune.source import resolve_source
    from bertune.training.preparing import encode, fit_task
    from bertune.training.reading import read
    from bertune.training.split_files import write_splits
    from bertune.training.splitting import split

    resolved = resolve_source(source, settings, labels)
    tables = read(resolved)
    fitted = fit_task(tables)
    splits = split(tables)
    prepared = encode(splits, fitted)
    if out is not None:
        write_splits(resolved, splits, as_path(out, "out"))
    return prepared


def cross_validate(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> CrossValidation:
    """Train and evaluate a model for every fold of the training data, and return the results.

    The folds are stratified by label and keep groups together; see [cross_validate] and `data.group`,
    `data.time`, `data.split_column`. The folder holds a run for each fold, the out-of-fold predictions of
    every row, and a report. Nothing is written before training begins.

    Args:
        source: as in `train`.
        labels: as in `train`.
        settings: settings by key, such as {"cross_validate.folds": 10}.
        out: the folder; None for runs/NAME-folds.
        resume: continue an existing folder, or join other processes that work on it.
        progress: print the progress and the scores to stderr, as `bertune cross-validate` does.

    Raises:
        InputError, RunExistsError, ResourceError, DivergedError, Interrupted.
        GateError: the mean of a score over the folds misses its limit (gate.SCORE); the results are complete.
    """
    from bertune.source import Request

    events = cross_validate_events(Request(source, labels, settings, out, resume))
    if progress:
        from bertune.console import folds, show

        console = show.messages()
        result = folds.watch(events, console)
        console.print(folds.summary_table(result.record))
        _refuse_failed_folds(result)
        return result
    from bertune.training.cross_validating import CrossValidated
    from bertune.training.events import final

    found: CrossValidation = final(events, CrossValidated).result
    _refuse_failed_folds(found)
    return found


def _refuse_failed_folds(found: CrossValidation) -> None:
    refuse_failed([gate.to_json() for gate in found.record.gates or []], str(found.path))


def cross_validate_events(request: Request) -> Generator[CrossValidationEvent, None, None]:
    """Cross-validate like `cross_validate`, as a generator of events, including those of every run."""
    require("train", "to cross-validate")
    from bertune.reporting.cross_validation import write_cross_validation_report
    from bertune.tracking.following import follow
    from bertune.training import cross_validating

    resolved, folder = request.resolved("folds", is_cross_validation)
    events = cross_validating.cross_validate(resolved, folder, request.resume)
    yield from follow(events, resolved.config, folder, write_cross_validation_report)


def compare(runs: Sequence[Run | str | Path], *, out: str | Path | None = None) -> Comparison:
    """Compare finished runs with the first of them on the same test rows: see `bertune.comparing`.

    `out` is a new file for the rows that changed, with the suffix .jsonl or .csv. Raises ConfigError, and
    DataError if the test rows differ.
    """
    from bertune.comparing import compare_runs, refuse_changed_file, write_changed

    target = None if out is None else as_path(out, "out")
    if target is not None:
        refuse_changed_file(target)
    found = compare_runs([run.path if isinstance(run, Run) else as_path(run, "the run") for run in runs])
    if target is not None:
        write_changed(found, target)
    return found


def load(source: Run | str | Path, *, settings: Settings = None) -> Model:
    """Load a trained model from a run, a run folder or a model folder. Raises InputError."""
    from bertune.predict.loading import load_model

    return load_model(source, nested(settings))


def evaluate(source: Run | Model | str | Path, data: object, *, settings: Settings = None) -> Evaluation:
    """Evaluate a trained model on a labelled file, named data set or table, or on (texts, labels).

    Raises InputError.
    """
    return _model(source, settings).evaluate(data)


def decide(source: Run | str | Path, data: object, *, settings: Settings = None) -> Decision:
    """Fit the calibration and the decision rule of a trained model to labelled data, and store them with it.

    `settings` are those of [decide], such as {"decide.max_error": 0.02}. The data must not have been used for
    training or to select the checkpoint. `source` can be a run, a model folder or an export; each of them has
    its own rule. Raises InputError.
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


def predict(
    source: Run | Model | str | Path, data: Iterable[Any] | str | Path, *, settings: Settings = None
) -> list[Any]:
    """Predict a list of texts or of tuples of texts, or every row of a file, named data set or table.

    Returns the predictions in order; None for a row without text. Raises InputError.
    """
    return _model(source, settings).predict(Path(data) if isinstance(data, str) else data)


def report(*runs: Run | CrossValidation | Tuning | str | Path, out: str | Path | None = None) -> Path:
    """Regenerate the report of a run, a cross-validation or a search, or compare several runs on one page.

    Returns the path of the page. `out` is a new .html file for a comparison; by default it is
    report/comparison.html in the folder of the first run. Raises ConfigError, DataError if the test rows of
    the runs differ, and InputError, also if files of a finished run were modified.
    """
    with needs("jinja2", "to write a report"):
        from bertune.reports import write_comparison_of, write_report_of

    kinds = (Run, CrossValidation, Tuning)
    paths = [run.path if isinstance(run, kinds) else as_path(run, "the run") for run in runs]
    if len(paths) > 1:
        return write_comparison_of(paths, None if out is None else as_path(out, "out"))
    if not paths or out is not None:
        raise ConfigError(
            "report takes one run, or several runs to compare. A path for the page requires several runs"
        )
    return write_report_of(paths[0])


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


def bench(
    source: object,
    *,
    settings: Settings = None,
    rounds: int = 3,
    seconds: float = 5.0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare the training and prediction speed of bertune and other libraries; return it as plain JSON.

    Nothing is written. Every round runs each library in its own process for at least `seconds` seconds;
    `on_progress` is called with one line per measurement. Raises InputError, BertuneError.
    """
    packages = ("torch", "transformers", "accelerate")
    require("bench", "to compare bertune with other libraries", packages)
    from bertune.bench.compare import compare
    from bertune.source import resolve_source

    resolved = resolve_source(source, settings)
    return compare(resolved, rounds, seconds, on_progress)


def _run_folder(source: object, out: str | Path | None, resume: bool) -> Path | None:
    """The requested run folder: `out`, or `source` if it is the run folder to resume; otherwise None."""
    if not (isinstance(source, str | Path) and is_run(Path(source))):
        if out is None and resume and isinstance(source, str | Path):
            _refuse_remains(Path(source))
        return None if out is None else as_path(out, "out")
    if not resume and out is None:
        raise ConfigError(
            f"{source} is a run folder. Resume it with --resume, or repeat it in another folder with --out"
        )
    return Path(source) if out is None else as_path(out, "out")


def _refuse_remains(folder: Path) -> None:
    """Raise DamagedError if `folder` is a run without manifest and checkpoints, and not a settings file."""
    if os.path.isfile(folder / CONFIG):
        raise DamagedError(
            f"{folder / MANIFEST} is missing, and no checkpoint has a copy. {start_again(folder)}"
        )


def _model(source: Run | Model | str | Path, settings: Settings) -> Model:
    from bertune.predict.model import Model

    if not isinstance(source, Model):
        return load(source, settings=settings)
    if settings:
        raise ConfigError("the model is already loaded. Pass settings= to bertune.load instead")
    return source
