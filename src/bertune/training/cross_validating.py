"""Cross-validation: trains a run for every fold, and collects the predictions of the rows held out.

Several processes can work on the same folder. Each takes the next fold that no other process has locked; the
lock of a process that was killed is released by the operating system. The last one collects the results.
"""

import hashlib
import importlib.metadata
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bertune.config import Config
from bertune.cross_validation import (
    FOLDS,
    FORMAT,
    RECORD,
    CrossValidation,
    CrossValidationRecord,
    FoldRunRecord,
    is_cross_validation,
    read_record,
)
from bertune.errors import ConfigError, Interrupted, RunBusyError
from bertune.files import (
    remove,
    sealed,
    shown_path,
    to_json,
    write_atomically,
    write_json,
)
from bertune.run import CONFIG, Run, is_run, read_config
from bertune.settings import changed_settings
from bertune.source import Source
from bertune.text.sequences import Sequence as TextSequence
from bertune.training.events import Event, Noted, Warned
from bertune.training.fit import fit
from bertune.training.folds import Folds, make_folds
from bertune.training.out_of_fold import collect
from bertune.training.preparing import Fitted, encode, fingerprint, fit_task, tokenize
from bertune.training.reading import read
from bertune.training.recovery import recover
from bertune.training.selection import best_metric
from bertune.training.shared_folder import created, is_resumable, locked, remove_locks

_POLL_SECONDS = 1.0  # between attempts to lock a fold that another process trains


@dataclass(frozen=True)
class FoldsReady:
    """The rows have been divided into folds. Nothing has been written yet."""

    folds: Folds
    name: str


@dataclass(frozen=True)
class FoldStarted:
    """This process trains a fold from here on."""

    number: int  # number of the run, from 1
    total: int
    run: FoldRunRecord


@dataclass(frozen=True)
class FoldFinished:
    """A fold is complete. It may have been trained earlier or by another process."""

    number: int
    total: int
    run: Run
    was_trained: bool  # by this process


@dataclass(frozen=True)
class CrossValidated:
    """All folds are complete and the results are in the folder."""

    result: CrossValidation


CrossValidationEvent = FoldsReady | FoldStarted | FoldFinished | CrossValidated | Event


@dataclass
class _Work:
    """A cross-validation in progress."""

    source: Source
    fitted: Fitted
    folds: Folds
    record: CrossValidationRecord
    out: Path
    tokenized: dict[str, list[TextSequence]] = field(default_factory=dict)

    def tokens(self) -> dict[str, list[TextSequence]]:
        """The tokenized tables; they are tokenized once, at the first fold that needs them."""
        if not self.tokenized:
            self.tokenized = tokenize(self.folds.tables, self.fitted)
        return self.tokenized

    def run(self, run: FoldRunRecord) -> Run:
        return Run(self.out / FOLDS / run.name)


def cross_validate(source: Source, out: Path, resume: bool = False) -> Iterator[CrossValidationEvent]:
    """Train and evaluate a model for every fold into the folder `out`. The last event is CrossValidated.

    With `resume`, folds that are complete are kept and the others are continued, also while other processes
    work on the same folder. All input errors are raised before anything is written. Raises InputError,
    RunExistsError, Interrupted, DivergedError, ResourceError.
    """
    exists = _is_there(out, resume)
    config = _with_recorded_folds(source.config, out) if exists else source.config
    # A fold run is not trained again on all rows: only its scores and predictions matter.
    config = config.model_copy(update={"train": config.train.model_copy(update={"refit": False})})
    tables = read(replace(source, config=config))
    fitted, folds = fit_task(tables), make_folds(tables)
    for number in folds.numbers():  # reports a fold that cannot be scored before the first is trained
        fitted.task.for_scoring(folds.splits(*number).examples()["test"])
    work = _Work(source, fitted, folds, _first_record(source, fitted, folds), out)
    yield FoldsReady(folds, source.name)
    if source.config.train.refit:
        yield Noted("train.refit is not used: the models of the folds are trained to be scored")
    if resume and not exists:
        yield Warned(f"no cross-validation to resume in {shown_path(out)}: starting a new one")
    if exists or not _created(work, resume):
        _refuse_other_work(work)
    if CrossValidation(out).is_complete:
        yield CrossValidated(CrossValidation(out))
        return
    yield from _train_folds(work)
    with locked(out, "results", wait=True):
        if not CrossValidation(out).is_complete:
            runs = [work.run(run) for run in work.record.runs]
            collect(folds, fitted, work.tokens(), runs, out, work.record)
            if not config.cross_validate.keep_models:
                for run in runs:
                    remove(run.model_path)
        remove_locks(out)
    yield CrossValidated(CrossValidation(out))


def _train_folds(work: _Work) -> Iterator[CrossValidationEvent]:
    """Train the folds that no other process trains, until all of them are complete."""
    pending = list(enumerate(work.record.runs, start=1))
    total, is_waiting = len(pending), False
    while pending:
        left = []
        for number, run in pending:
            found = work.run(run)
            if _is_complete(found):
                yield FoldFinished(number, total, found, was_trained=False)
                continue
            with locked(work.out, run.name) as is_ours:
                if not is_ours or not (yield from _train_fold(work, number, total, run)):
                    left.append((number, run))
        if left and len(left) == len(pending):
            if not is_waiting:
                names = ", ".join(str(number) for number, _ in left)
                yield Noted(f"waiting for other processes, which are training {names} of {total}")
                is_waiting = True
            time.sleep(_POLL_SECONDS)
        pending = left


def _train_fold(
    work: _Work, number: int, total: int, run: FoldRunRecord
) -> Generator[CrossValidationEvent, None, bool]:
    """Train one fold, or continue it. Returns whether it is complete; False if another process trains it."""
    found = work.run(run)
    if _is_complete(found):  # another process completed it before we locked it
        yield FoldFinished(number, total, found, was_trained=False)
        return True
    yield FoldStarted(number, total, run)
    prepared = encode(work.folds.splits(run.repeat, run.fold), work.fitted, work.tokens())
    prepared = replace(prepared, keep_outputs=True)
    is_started = is_run(found.path)
    name = f"{work.source.name} {run.name}"
    try:
        if is_started:
            yield from (Warned(text) for text in recover(found.path))
        yield from fit(prepared, found.path, is_started, name=name, given=work.source.given)
    except RunBusyError:
        return False
    except Interrupted as error:
        raise Interrupted(
            f"stopped in run {number} of {total}; everything is saved. Repeat the command with --resume "
            "to continue"
        ) from error
    yield FoldFinished(number, total, found, was_trained=True)
    return True


def _is_complete(run: Run) -> bool:
    return is_run(run.path) and run.manifest.get("status") == "complete"


def _is_there(out: Path, resume: bool) -> bool:
    """Whether there is a cross-validation to resume. Raises RunExistsError if `out` exists otherwise."""
    return is_resumable(out, "cross-validation", is_cross_validation, resume)


def _with_recorded_folds(config: Config, out: Path) -> Config:
    """The settings with the number of folds and repetitions of an existing folder, unless they are set."""
    record, wanted = read_record(out), config.cross_validate
    known = {"folds": record.num_folds, "repeats": record.num_repeats}
    is_by_column = config.data.split_column is not None  # which determines the folds itself
    new = {} if is_by_column else {k: v for k, v in known.items() if k not in wanted.model_fields_set}
    return config.model_copy(update={"cross_validate": wanted.model_copy(update=new)})


def _first_record(source: Source, fitted: Fitted, folds: Folds) -> CrossValidationRecord:
    tables, config = folds.tables, source.config
    num_rows = sum(number is not None for number in folds.of_row[0])
    groups = {u for u, n in zip(folds.rows.units, folds.of_row[0], strict=True) if n is not None}
    return CrossValidationRecord(
        format=FORMAT,
        name=source.name,
        status="training",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source.given,
        task=config.task.name,
        model=config.model.name,
        row_noun=fitted.task.task.noun,
        primary=best_metric(config.train.best_metric, fitted.task),
        labels=list(fitted.task.labels),
        how=folds.how,
        num_folds=folds.num_folds,
        num_repeats=folds.num_repeats,
        num_rows=num_rows,
        num_groups=len(groups) if len(groups) < num_rows else None,
        data_sha256=_data_sha256(folds),
        notes=[*tables.notes, *fitted.notes, *folds.notes],
        warnings=list(folds.warnings),
        runs=[
            FoldRunRecord(name=_run_name(repeat, fold, folds.num_repeats), repeat=repeat, fold=fold)
            for repeat, fold in folds.numbers()
        ],
        versions={p: importlib.metadata.version(p) for p in ("bertune", "torch", "transformers", "numpy")},
    )


def _run_name(repeat: int, fold: int, num_repeats: int) -> str:
    return f"fold-{fold}" if num_repeats == 1 else f"repeat-{repeat}-fold-{fold}"


def _data_sha256(folds: Folds) -> str:
    """The sha256 of all examples and of the folds of the training rows."""
    digest = hashlib.sha256()
    for name, examples in folds.tables.examples.items():
        digest.update(f"{name} {fingerprint(examples)}".encode())
    digest.update(to_json([list(of_row) for of_row in folds.of_row], indent=None).encode())
    return digest.hexdigest()


def _created(work: _Work, resume: bool) -> bool:
    """Create the folder, visible only when it is complete. False if another process created it meanwhile."""

    def fill(staging: Path) -> None:
        write_atomically(staging / CONFIG, work.folds.tables.config.to_toml())
        write_json(staging / RECORD, sealed(work.record.to_json()))
        (staging / FOLDS).mkdir()

    return created(work.out, fill, lambda: is_cross_validation(work.out) and _is_there(work.out, resume))


def _refuse_other_work(work: _Work) -> None:
    """Raise ConfigError if the folder was started with other settings, data or folds."""
    recorded = read_record(work.out)
    changed = changed_settings(read_config(work.out), work.folds.tables.config, ("machine", "track"))
    folds, repeats = work.record.num_folds, work.record.num_repeats
    if (recorded.num_folds, recorded.num_repeats) != (folds, repeats):
        changed.append(
            f"it has {recorded.num_folds} folds and {recorded.num_repeats} repetitions, not {folds} and "
            f"{repeats}"
        )
    elif recorded.data_sha256 != work.record.data_sha256:
        changed.append("the data has changed since")
    if changed:
        raise ConfigError(
            f"{shown_path(work.out)} cannot be resumed with other settings or data: {'; '.join(changed)}. "
            "Use the same ones, or another --out"
        )
