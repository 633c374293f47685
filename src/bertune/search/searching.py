"""The search of `bertune tune`, as a generator of events.

Trials are distributed by `search.study`. With a proxy encoder there are two stages, each a separate study:
the search with the small encoder, and the finalists with the target encoder. The best settings are then
trained once more as an ordinary run, which is the only one that sees test rows.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.storages import BaseStorage

from bertune.config import Config
from bertune.errors import ConfigError, InputError, Interrupted, RunBusyError, counted
from bertune.files import shell_word, shown_path
from bertune.search import results
from bertune.search.events import SearchEvent, SearchReady, TrialFinished, TrialStarted, Tuned, WinnerStarted
from bertune.search.setup import (
    Work,
    create_folder,
    is_there,
    prepare_search,
    refuse_other_search,
    storage_errors,
    with_model,
    with_recorded_settings,
    write_record,
)
from bertune.search.space import Params, shown, with_params
from bertune.search.study import Budget, Plan, TakenTrial, TrialQueue, is_local, open_storage, wait_for_others
from bertune.search.trial import TrialSettings, train_trial
from bertune.search.winner import is_current, train_winner, write_complete
from bertune.source import Source
from bertune.training.events import Noted, Warned
from bertune.training.shared_folder import locked, remove_locks
from bertune.tuning import BEST, Tuning


@dataclass(frozen=True)
class _Stage:
    """The trials of one study."""

    queue: TrialQueue
    budget: Budget
    config: Config  # of its trials, without searched settings
    total: int


def search(source: Source, out: Path, resume: bool = False) -> Iterator[SearchEvent]:
    """Search for the best settings, and train them, into the folder `out`. The last event is Tuned.

    With `resume`, an existing search is continued, also while other processes work on the same folder or
    storage. All input errors are raised before anything is written. Raises InputError, RunExistsError,
    Interrupted, ResourceError.
    """
    exists = is_there(out, resume)
    if exists:
        source = with_recorded_settings(source, out)
    checked = prepare_search(source, out)
    work, total = checked.work, checked.total
    yield SearchReady(source.name, checked.prepared, total, work.record.scored_on or "", checked.notes)
    if source.config.track.to:
        yield Noted(
            "track.to is not used by the search. To log the run of the best settings afterwards: "
            f"bertune train {shell_word(out / BEST)} --resume"
        )
    if resume and not exists:
        yield Warned(f"no search to resume in {shown_path(out)}: starting a new one")
    shared = None if is_local(work.tune.storage) else open_storage(work.tune.storage, out)
    if not exists:
        create_folder(work, resume)
    storage = open_storage(work.tune.storage, out) if shared is None else shared
    first, last = yield from _train_stages(work, storage, total)
    found = results.Found(
        work.space, work.source.config, work.metric, work.lower_is_better, first.queue, last.queue, out
    )
    best = found.best()
    if best is None:
        raise ConfigError(
            f"none of {counted(len(found.searched.done()), 'trial')} has a score: all diverged, or "
            f"{work.metric} is undefined. Search lower learning rates: tune.space.train.lr=1e-6..1e-5"
        )
    with locked(out, "results", wait=True):
        if not is_current(work, found, best):
            yield WinnerStarted(best.params, float(best.value or 0.0), work.metric)
            run = yield from train_winner(work, best, last.queue.label)
            write_complete(work, found, best, run)
        remove_locks(out)
    yield Tuned(Tuning(out))


def _train_stages(
    work: Work, storage: BaseStorage, total: int
) -> Generator[SearchEvent, None, tuple[_Stage, _Stage]]:
    """Train the trials of all stages; returns the first and the last stage, which are one without a proxy."""
    tune, study = work.tune, work.tune.study or work.out.name
    default = work.space.defaults(work.source.config)
    seconds = None if tune.hours is None else 3600 * tune.hours
    plan = Plan(
        space=work.space,
        planned=[] if default is None else [default],
        # A third of the trials explores: Optuna's default of 10 suits searches of a hundred trials.
        num_spread=None if tune.sampler == "random" else max(3, min(10, total // 3)),
        prune=tune.prune,
        lower_is_better=work.lower_is_better,
        seed=work.source.config.train.seed,
    )
    label = "trial" if tune.proxy is None else "proxy"
    config = work.base if tune.proxy is None else with_model(work.base, tune.proxy)
    with storage_errors(work):
        queue = TrialQueue(storage, study, plan, work.out, label)
    first = _Stage(queue, Budget(total, seconds), config, total)
    refuse_other_search(work, queue)
    yield from _train_trials(work, first)
    if tune.proxy is None:
        return first, first
    finalists = _finalists(queue, tune.finalists, work.lower_is_better)
    with storage_errors(work):
        final = replace(plan, planned=finalists, prune=0.0)
        last = TrialQueue(storage, f"{study}-target", final, work.out, "target")
        # A search that was extended may have new finalists, which are trained as well.
        known = [trial.params for trial in last.trials()]
    total = len(known) + sum(params not in known for params in finalists)
    stage = _Stage(last, Budget(total), work.base, total)
    yield Noted(f"training the best {counted(len(finalists), 'setting')} with {work.base.model.name}")
    yield from _train_trials(work, stage)
    return first, stage


def _finalists(queue: TrialQueue, most: int, lower_is_better: bool) -> list[Params]:
    sign = 1 if lower_is_better else -1
    scored = [trial for trial in queue.done() if trial.value is not None and trial.state.name == "COMPLETE"]
    ranked = sorted(scored, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
    return [dict(trial.params) for trial in ranked[:most]]


def _train_trials(work: Work, stage: _Stage) -> Iterator[SearchEvent]:
    """Train trials until all processes together have used the budget up."""
    queue, is_waiting = stage.queue, False
    while True:
        with storage_errors(work):
            if queue.is_complete(stage.budget):
                return
            taken = queue.take(stage.budget)
        if taken is not None:
            is_waiting = False
            yield from _train_taken(work, stage, taken)
            continue
        if not is_waiting:
            yield Noted("waiting for the trials of other processes")
            is_waiting = True
        wait_for_others()


def _train_taken(work: Work, stage: _Stage, taken: TakenTrial) -> Iterator[SearchEvent]:
    queue, label = stage.queue, stage.queue.label
    yield TrialStarted(taken.position, stage.total, label, taken.params, taken.was_started)
    settings = TrialSettings(work.rows, work.metric, work.source.given, work.tune.keep_models)
    config = with_params(stage.config, taken.params)
    folder, name = queue.folder(taken.number), f"{work.source.name} {label} {taken.number}"
    try:
        with storage_errors(work), queue.beating(taken):
            result = yield from train_trial(
                settings, config, folder, name, lambda step, value: queue.report(taken, step, value)
            )
        with storage_errors(work):
            is_kept = queue.finish(taken, result.value, result.record)
    except RunBusyError:
        return  # another process continues this trial
    except Interrupted as error:
        raise Interrupted(
            f"stopped in {label} {taken.position} of {stage.total}; everything is saved. Repeat the command "
            "with --resume to continue"
        ) from error
    except InputError as error:
        queue.fail(taken, str(error)[:500])
        values = ", ".join(f"{key}={shown(value)}" for key, value in taken.params.items())
        raise type(error)(f"{label} {taken.number} ({values}): {error}") from error
    finally:
        taken.release()
    if not is_kept:
        yield Warned(
            f"{label} {taken.number} sent no heartbeat for 15 minutes and was replaced. Its result is not "
            "used"
        )
        return
    yield _finished(work, stage, taken)


def _finished(work: Work, stage: _Stage, taken: TakenTrial) -> TrialFinished:
    found = results.Found(
        work.space,
        work.source.config,
        work.metric,
        work.lower_is_better,
        stage.queue,
        stage.queue,
        work.out,
    )
    records = results.trial_records(found)
    record = next(one for one in records if one.number == taken.number)
    best = found.best()
    with locked(work.out, "record") as is_ours:
        if is_ours:  # otherwise another process writes the same
            now = {"status": "searching", "trials": records, "space": results.dimension_records(found)}
            write_record(work, work.record.model_copy(update=now))
    done = len(stage.queue.done())
    return TrialFinished(
        done, stage.total, work.metric, record, best is not None and best.number == taken.number
    )
