"""Check a search before anything is written, create its folder, and compare it with one that is continued."""

import contextlib
import importlib.metadata
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from bertune.config import Config, TuneConfig
from bertune.errors import ConfigError, ResourceError, counted
from bertune.files import sealed, to_json, write_atomically, write_json
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.run import CONFIG
from bertune.search.rows import SearchRows, rows_sha256, trial_config
from bertune.search.space import Space, read_space
from bertune.search.study import TrialQueue, describe_storage
from bertune.source import Source
from bertune.training.preparing import Prepared, prepare
from bertune.training.selection import best_metric
from bertune.training.shared_folder import created, is_resumable, locked
from bertune.tuning import FORMAT, RECORD, TRIALS, TuningRecord, is_tuning, read_record

_PATHS = ("train", "validation", "calibration", "test")  # settings that differ between machines
_OWN_SEEDS = ("seeds", "refit", "baselines")  # settings of [train] that only concern the final run


@dataclass(frozen=True)
class Work:
    """A search in progress."""

    source: Source
    out: Path
    tune: TuneConfig
    space: Space
    base: Config  # of a trial without searched settings
    rows: SearchRows
    metric: str
    record: TuningRecord

    @property
    def lower_is_better(self) -> bool:
        return self.metric in LOWER_IS_BETTER


@dataclass(frozen=True)
class Checked:
    """A search whose settings and rows have been checked."""

    work: Work
    prepared: Prepared  # the rows as the run of the best settings uses them, with the findings of the audit
    total: int  # trials
    notes: tuple[str, ...]


def prepare_search(source: Source, out: Path) -> Checked:
    """Check everything that can be checked before training. Raises InputError."""
    tune = source.config.tune
    space, notes = read_space(source)
    if tune.folds == 1:
        raise ConfigError(
            "tune.folds=1: expected at least 2 folds, or 0 to score trials on the validation split"
        )
    if tune.proxy is not None and "model.name" in space.dimensions:
        raise ConfigError("tune.proxy replaces model.name during the search. Remove tune.space.model.name")
    prepared = prepare(source)  # otherwise an error in the test rows would end the search after all trials
    base = trial_config(source.config)
    rows = SearchRows(source, tune.folds)
    version = rows.version(base)
    metric = best_metric(base.train.best_metric, version.fitted.task)
    if tune.folds and metric == "loss":
        raise ConfigError("tune.folds: the loss is not a score of a fold. Set train.best_metric to a score")
    numbers = rows.numbers(base)
    if metric in rows.prepared(base, numbers[0]).undefined:
        raise ConfigError(
            f"{metric} is undefined on the validation rows, so trials cannot be compared. Set "
            "train.best_metric to another score, or use more validation rows"
        )
    if tune.proxy is not None:
        rows.refuse_unusable(Space({}), with_model(base, tune.proxy))
        rows.version(with_model(base, tune.proxy))
    rows.refuse_unusable(space, base)
    total = tune.trials if space.size is None else min(tune.trials, space.size)
    notes += tuple(_notes(tune, space, source.config, total))
    scored_on = _scored_on(rows, base)
    record = _first_record(source, space, metric, scored_on, out)
    return Checked(Work(source, out, tune, space, base, rows, metric, record), prepared, total, notes)


def _notes(tune: TuneConfig, space: Space, config: Config, total: int) -> Iterator[str]:
    for key, dimension in space.dimensions.items():
        yield f"searching {key}: {dimension}"
    if total < tune.trials:
        yield f"the space has only {total} combinations, so all of them are tried"
    if space.defaults(config) is None:
        yield "the base settings are not in the space, so they are not tried first"
    elif tune.trials > 1:
        yield "the first trial has the base settings"


def _scored_on(rows: SearchRows, config: Config) -> str:
    version = rows.version(config)
    if version.folds is not None:
        return f"{version.folds.num_folds} folds, {version.folds.how}"
    _, chosen = version.splits.rows["validation"]
    return counted(len(chosen), f"validation {version.fitted.task.task.noun}")


def with_model(config: Config, name: str) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"name": name})})


def is_there(out: Path, resume: bool) -> bool:
    """Whether there is a search to resume. Raises RunExistsError if `out` exists otherwise."""
    return is_resumable(out, "search", is_tuning, resume)


def with_recorded_settings(source: Source, out: Path) -> Source:
    """The settings of [tune] of an existing search, unless they are set."""
    recorded, wanted = read_record(out).settings or {}, source.config.tune
    known = {key: value for key, value in recorded.items() if key not in wanted.model_fields_set}
    tune = TuneConfig.model_validate({**wanted.model_dump(exclude_unset=True), **known})
    return replace(source, config=source.config.model_copy(update={"tune": tune}))


def _first_record(source: Source, space: Space, metric: str, scored_on: str, out: Path) -> TuningRecord:
    config, tune = source.config, source.config.tune
    settings = tune.model_dump(mode="json") | {"space": dict(space.given)}
    packages = ("bertune", "optuna", "torch", "transformers", "numpy")
    return TuningRecord(
        format=FORMAT,
        name=source.name,
        status="searching",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source.given,
        task=config.task.name,
        model=config.model.name,
        proxy=tune.proxy,
        metric=metric,
        lower_is_better=metric in LOWER_IS_BETTER,
        scored_on=scored_on,
        settings=settings,
        storage=describe_storage(tune.storage, out),
        study=tune.study or out.name,
        versions={package: importlib.metadata.version(package) for package in packages},
    )


def create_folder(work: Work, resume: bool) -> None:
    """Create the folder, unless another process did meanwhile."""

    def fill(staging: Path) -> None:
        write_atomically(staging / CONFIG, work.source.config.to_toml())
        write_atomically(staging / "search-id", uuid.uuid4().hex)
        write_json(staging / RECORD, sealed(work.record.to_json()))
        (staging / TRIALS).mkdir()

    created(work.out, fill, lambda: is_tuning(work.out) and is_there(work.out, resume))


def refuse_other_search(work: Work, queue: TrialQueue) -> None:
    """Raise ConfigError if the study was started with other settings, data or another space."""
    description = _description(work)
    with locked(work.out, "description", wait=True), storage_errors(work):
        recorded = queue.describe(description)
    changed = [
        f"{key} was {_brief(recorded.get(key))} and is now {_brief(value)}"
        for key, value in description.items()
        if recorded.get(key) != value
    ]
    if changed:
        raise ConfigError(
            f"the study {work.record.study} in {work.record.storage} cannot be continued with other "
            f"settings, data or another space: {'; '.join(changed)}. Use the same ones, or another --out or "
            "tune.study"
        )


def _description(work: Work) -> Mapping[str, Any]:
    """The values that must be equal in all processes, by name."""
    found: dict[str, Any] = {"rows": rows_sha256(work.rows.version(work.base)), "folds": work.tune.folds}
    found |= {"tune.proxy": work.tune.proxy, "metric": work.metric}
    found |= {f"tune.space.{key}": str(dimension) for key, dimension in work.space.dimensions.items()}
    for section, values in work.source.config.to_settings().items():
        if section in ("machine", "gate"):
            continue
        for key, value in values.items():
            if (section == "data" and key in _PATHS) or (section == "train" and key in _OWN_SEEDS):
                continue
            found[f"{section}.{key}"] = value
    return found


def _brief(value: object) -> str:
    text = to_json(value, indent=None)
    return text if len(text) <= 60 else f"{text[:60]}…"


def write_record(work: Work, record: TuningRecord) -> None:
    write_json(work.out / RECORD, sealed(record.to_json()))


@contextlib.contextmanager
def storage_errors(work: Work) -> Iterator[None]:
    """Turn errors of the storage into one that says what to do."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise ResourceError(
            f"the storage of the search, {work.record.storage}, failed: {str(error).splitlines()[0]}. All "
            "completed trials are kept. Check the disk or the database, and continue with --resume"
        ) from error
