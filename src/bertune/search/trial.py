"""Train one trial: a run in its folder, or a run for each fold, stopped early if the study says so."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.config import Config
from bertune.cross_validation import FOLDS
from bertune.errors import DivergedError
from bertune.files import remove
from bertune.run import MANIFEST, Run, is_run
from bertune.run_writer import RunWriter
from bertune.search.rows import Number, SearchRows
from bertune.training.events import Evaluated, Event, Finished, Stepped, Warned
from bertune.training.fit import fit
from bertune.training.recovery import recover

# Resampled scores that the storage keeps of each trial: enough for a mean, and a few kB.
_RESAMPLES = 500
_PER_EPOCH = 100  # steps that pruning counts per epoch; Optuna needs whole numbers

Report = Callable[[int, float], bool]  # step and score of an intermediate result → whether to stop


@dataclass(frozen=True)
class TrialSettings:
    """The inputs that all trials of a search share."""

    rows: SearchRows
    metric: str  # that the search compares
    given: str  # the source, as the user wrote it
    keep_models: bool


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial, as the storage records it."""

    value: float | None  # None if the trial was stopped early, or has no score
    record: Mapping[str, Any]  # outcome, seconds, folds, best_step, resamples: plain JSON


def train_trial(
    settings: TrialSettings, config: Config, folder: Path, name: str, report: Report
) -> Generator[Event, None, TrialResult]:
    """Train a trial, or continue it from its last checkpoint.

    A run that diverges is a result as well. Raises InputError, Interrupted, ResourceError.
    """
    numbers = settings.rows.numbers(config)
    values: list[float | None] = []
    runs: list[Run] = []
    outcome = "complete"
    for number in numbers:
        run = Run(folder if number is None else folder / FOLDS / f"fold-{number[1]}")
        runs.append(run)
        try:
            stopped = yield from _train(
                settings, config, run, name, number, report if number is None else None
            )
        except DivergedError:
            outcome = "diverged"
            break
        if stopped:
            _close(run)
            outcome = "pruned"
            break
        values.append(_value(run, settings.metric, number))
        if not settings.keep_models:
            remove(run.model_path)
        mean = _mean(values)
        is_last = len(values) == len(numbers)
        if number is not None and mean is not None and report(number[1], mean) and not is_last:
            outcome = "pruned"
            break
    record: dict[str, Any] = {"outcome": outcome, "seconds": round(sum(map(_seconds, runs)), 3)}
    if numbers != [None]:
        record["folds"] = values
    if outcome != "complete":
        return TrialResult(None, record)
    mean = _mean(values)
    if mean is None:
        return TrialResult(None, record | {"outcome": "undefined"})
    if numbers == [None]:
        training = runs[0].manifest["training"]
        record |= {"best_step": training["best"]["step"], "total_steps": training["total_steps"]}
    resamples = _resamples(runs, settings.metric, numbers)
    return TrialResult(mean, record if resamples is None else record | {"resamples": resamples})


def _train(
    settings: TrialSettings, config: Config, run: Run, name: str, number: Number, report: Report | None
) -> Generator[Event, None, bool]:
    """Train one run of a trial; returns whether it was stopped early."""
    if is_run(run.path) and run.manifest.get("status") == "complete":
        return False
    is_started = is_run(run.path)
    if is_started:
        yield from (Warned(text) for text in recover(run.path))
    prepared = settings.rows.prepared(config, number)
    is_at_end = False
    events = fit(prepared, run.path, is_started, name=name, given=settings.given)
    for event in events:
        if isinstance(event, Stepped):
            is_at_end = event.step.number == event.total
        if not isinstance(event, Finished):  # which tells the caller that training has ended
            yield event
        if isinstance(event, Evaluated) and report is not None:
            value = event.line.get(settings.metric)
            step = round(_PER_EPOCH * event.line["epoch"])
            if value is not None and np.isfinite(value) and report(step, value) and not is_at_end:
                _stop(events)
                return True
    return False


def _stop(events: Iterator[Event]) -> None:
    close = getattr(events, "close", None)
    assert close is not None, "train_source is a generator"
    close()


def _close(run: Run) -> None:
    """Record that a run was stopped early, and remove its checkpoints."""
    with RunWriter(run.path) as writer:
        writer.update_manifest(status="pruned")
        writer.clear_working_files()


def _value(run: Run, metric: str, number: Number) -> float | None:
    """The score of the selected checkpoint on validation, or that of the fold held out."""
    manifest = run.manifest
    value = (
        manifest["training"]["best"]["value"] if number is None else manifest["scores"]["test"].get(metric)
    )
    return None if value is None or not np.isfinite(value) else float(value)


def _mean(values: list[float | None]) -> float | None:
    """The mean over the folds; None if it is undefined on one of them."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None


def _seconds(run: Run) -> float:
    """Seconds of training and evaluation, in all processes that worked on a run."""
    if not (run.path / MANIFEST).is_file():
        return 0.0
    timings = run.record.timings or {}
    if "train_seconds" in timings:
        return timings["train_seconds"] + timings["evaluate_seconds"]
    lines = run.metrics()  # the run did not finish, so its manifest has no timings
    evaluated = (line.get("validation", {}).get("seconds", 0.0) for line in lines)
    return float(sum(evaluated) + sum(line["seconds"] for line in lines))


def _resamples(runs: list[Run], metric: str, numbers: list[Number]) -> list[float] | None:
    """Resampled scores of a trial, the mean over its folds; None if a run has none.

    The runs of all trials resample the same rows in the same way, so they are paired.
    """
    split = "validation" if numbers == [None] else "test"
    found: list[NDArray[np.float32]] = []
    for run in runs:
        stored = run.resamples(split) or {}
        if metric not in stored:
            return None
        found.append(stored[metric][:_RESAMPLES])
    shortest = min(map(len, found))
    mean_R = np.mean([values[:shortest] for values in found], axis=0)
    return [float(f"{value:.5g}") for value in mean_R] if np.isfinite(mean_R).all() else None
