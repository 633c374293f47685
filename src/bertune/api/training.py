"""Public functions that train: `train`, `cross_validate`, `tune`; and `check`, which reads the data only."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune.cross_validation import CrossValidation, is_cross_validation
from bertune.errors import ConfigError, DamagedError
from bertune.files import as_path
from bertune.gates import refuse_failed
from bertune.optional_packages import require
from bertune.run import CONFIG, MANIFEST, Run, is_run, start_again
from bertune.tuning import Tuning, is_tuning

if TYPE_CHECKING:
    from bertune.search.events import SearchEvent
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
        run = watch(events, console)
        show.echo(console, result_line(run.manifest))
        console.print(show.score_table(run.manifest["scores"], run.manifest.get("intervals")))
    else:
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
    else:
        from bertune.training.cross_validating import CrossValidated
        from bertune.training.events import final

        result = final(events, CrossValidated).result
    refuse_failed([gate.to_json() for gate in result.record.gates or []], str(result.path))
    return result


def cross_validate_events(request: Request) -> Generator[CrossValidationEvent, None, None]:
    """Cross-validate like `cross_validate`, as a generator of events, including those of every run."""
    require("train", "to cross-validate")
    from bertune.reporting.cross_validation import write_cross_validation_report
    from bertune.tracking.following import follow
    from bertune.training import cross_validating

    resolved, folder = request.resolved("folds", is_cross_validation)
    events = cross_validating.cross_validate(resolved, folder, request.resume)
    yield from follow(events, resolved.config, folder, write_cross_validation_report)


def tune(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Tuning:
    """Search for the best settings, train them as a run, and return the search.

    The search compares settings on the validation split or on folds (`tune.folds`) and never uses the test
    split; the run of the best settings is scored on it once. The default space is the grid of the BERT
    paper. Nothing is written before the first trial begins.

    Args:
        source: as in `train`.
        labels: as in `train`.
        settings: settings by key, such as {"tune.space.train.lr": "1e-5..1e-4", "tune.trials": 30}.
        out: the folder; None for runs/NAME-tune.
        resume: continue an existing search, or join other processes that work on it.
        progress: print the progress and the conclusions to stderr, as `bertune tune` does.

    Raises:
        InputError, RunExistsError, ResourceError, Interrupted, MissingPackageError.
        GateError: a final score of the best settings misses its limit (gate.SCORE); the search is complete.
    """
    from bertune.source import Request

    events = tune_events(Request(source, labels, settings, out, resume))
    if progress:
        from bertune.console import show, tuning

        console = show.messages()
        result = tuning.watch(events, console)
        console.print(tuning.trial_table(result.record))
        show.echo(console, f"\n{tuning.conclusions(result.record)}")
    else:
        from bertune.search.events import Tuned
        from bertune.training.events import final

        result = final(events, Tuned).result
    refuse_failed(result.best.manifest.get("gates"), str(result.best.path))
    return result


def tune_events(request: Request) -> Generator[SearchEvent, None, None]:
    """Search like `tune`, as a generator of events, including those of every run."""
    require("train", "to search for settings")
    require("tune", "to search for settings")
    return _events(request)


def _events(request: Request) -> Generator[SearchEvent, None, None]:
    from bertune.reporting.tuning import write_tuning_report
    from bertune.reporting.write import write_report
    from bertune.search.events import Tuned
    from bertune.search.searching import search

    resolved, folder = request.resolved("tune", is_tuning)
    for event in search(resolved, folder, request.resume):
        if isinstance(event, Tuned):
            write_report(event.result.best)
            write_tuning_report(event.result)
        yield event
