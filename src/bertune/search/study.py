"""Trials in an Optuna storage, distributed over processes so that exactly the requested number is completed.

Each trial that is started has a number in the storage. The first N trials by number that have not failed are
the trials of the search; a later one is withdrawn before it trains. A trial only fails if its process was
lost, so the number of completed trials never exceeds N, and reaches N as long as a process works on it.

Processes that share a folder also hold a lock for each of their trials. If a process is killed, the operating
system releases its lock, and the next process continues the trial from its last checkpoint. For processes on
other machines, the storage records heartbeats; a trial without a heartbeat for a long time fails and is
replaced.
"""

import contextlib
import itertools
import logging
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, fail_stale_trials
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc
from sqlalchemy.exc import SQLAlchemyError

from bertune.errors import ConfigError, MissingPackageError
from bertune.files import shown_path
from bertune.search.space import Params, Space
from bertune.training.shared_folder import acquired, locked

SQLITE, JOURNAL = "trials.sqlite", "trials.journal"
_HEARTBEAT, _GRACE = 60, 900  # seconds; a process may be suspended for some minutes
_NOT_STARTED = timedelta(minutes=10)  # after which a trial that no process has claimed is given up
_MOST_REPEATS = 3  # draws of settings that were tried before, until untried ones are drawn at random
_SQLITE_PATIENCE = 120  # seconds to wait while other processes write
_STARTUP = 4  # completed trials before one is stopped early
_RUNNING = (TrialState.RUNNING,)
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Budget:
    """The limits after which no further trial starts."""

    trials: int
    seconds: float | None = None  # training time of all trials together


@dataclass(frozen=True)
class Plan:
    """How the trials of a study are chosen."""

    space: Space
    planned: Sequence[Params]  # settings that are tried first, in this order
    num_spread: int | None  # trials that are spread evenly before the sampler learns; None: all are random
    prune: float
    lower_is_better: bool
    seed: int


@dataclass(frozen=True)
class TakenTrial:
    """A trial that this process trains. Its lock is held until `TrialQueue.finish` or `release`."""

    number: int
    position: int  # among the trials of the search, from 1
    params: Params
    was_started: bool  # by a process that was killed or interrupted
    trial: optuna.Trial
    lock: FileLock

    def release(self) -> None:
        """Let another process continue the trial."""
        self.lock.release()


def is_local(setting: str) -> bool:
    """Whether `tune.storage` is a file in the folder of the search."""
    return setting in ("sqlite", "journal")


def open_storage(setting: str, folder: Path) -> BaseStorage:
    """The storage named by `tune.storage`. Raises ConfigError, MissingPackageError."""
    if setting == "journal":
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    is_file = is_local(setting)
    if not is_file and "://" not in setting:
        raise ConfigError(
            f"tune.storage={setting}: expected sqlite, journal or a database URL, such as "
            "postgresql://user:password@host/database"
        )
    url = f"sqlite:///{(folder / SQLITE).absolute()}" if is_file else setting
    options: dict[str, Any] = {} if is_file else {"heartbeat_interval": _HEARTBEAT, "grace_period": _GRACE}
    if url.startswith("sqlite:"):
        options["engine_kwargs"] = {"connect_args": {"timeout": _SQLITE_PATIENCE}}
    try:
        with quiet():
            return RDBStorage(url, **options)
    except ImportError as error:
        package = error.name or "a database driver"
        raise MissingPackageError(
            f"{package} is needed for tune.storage={_without_password(setting)}, but is not installed. "
            "Install the database driver, for example with pip install 'psycopg[binary]' for PostgreSQL"
        ) from error
    except (SQLAlchemyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"tune.storage={_without_password(setting)} cannot be opened: {str(error).splitlines()[0]}. "
            "Check the URL and that the database is running"
        ) from error


def _without_password(url: str) -> str:
    head, at, host = url.rpartition("@")
    user, colon, _ = head.rpartition(":") if head.count(":") > 1 else (head, "", "")
    return f"{user}{colon}…{at}{host}" if at and colon else url


class TrialQueue:
    """The trials of one study; several processes may use it at the same time."""

    def __init__(self, storage: BaseStorage, name: str, plan: Plan, out: Path, label: str) -> None:
        """Open or create the study `name`. `label` names the folders of its trials: trial, proxy, target."""
        self._storage = storage
        self._plan = plan
        self._out = out
        self.label = label
        self._name = name
        self._has_heartbeat = isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None
        with quiet():
            direction = StudyDirection.MINIMIZE if plan.lower_is_better else StudyDirection.MAXIMIZE
            with contextlib.suppress(DuplicatedStudyError):
                optuna.create_study(storage=storage, study_name=name, direction=direction)
            self._study = optuna.load_study(study_name=name, storage=storage, pruner=_pruner(plan.prune))

    @property
    def study(self) -> optuna.Study:
        """The study, to read its trials."""
        return self._study

    def describe(self, description: Mapping[str, Any]) -> Mapping[str, Any]:
        """The search space as recorded by the process that created the study; by default `description`."""
        recorded = self._study.user_attrs.get("bertune")
        if recorded is None:
            self._study.set_user_attr("bertune", dict(description))
            return description
        found: Mapping[str, Any] = recorded
        return found

    def trials(self) -> list[FrozenTrial]:
        """The trials of the search: started, and not failed."""
        every = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if trial.state in (*_DONE, *_RUNNING)]

    def done(self) -> list[FrozenTrial]:
        """The completed trials, including those stopped early."""
        return [trial for trial in self.trials() if trial.state in _DONE]

    def folder(self, number: int) -> Path:
        """The folder of a trial."""
        return self._out / "trials" / f"{self.label}-{number}"

    def is_complete(self, budget: Budget) -> bool:
        """Whether the budget is used up and no trial is being trained."""
        trials = self.trials()
        return self._is_used_up(trials, budget) and all(trial.state in _DONE for trial in trials)

    def take(self, budget: Budget) -> TakenTrial | None:
        """A trial for this process: an interrupted one, or a new one; None if there is none to start.

        If other processes are still training then, one of their trials may become available later.
        """
        with locked(self._out, f"{self.label}-next", wait=True), quiet():
            interrupted = self._interrupted()
            if interrupted is not None:
                return interrupted
            if self._has_heartbeat:
                fail_stale_trials(self._study)
            for attempt in itertools.count():
                if self._is_used_up(self.trials(), budget):
                    return None
                found = self._new(budget, is_random=attempt >= _MOST_REPEATS)
                if found is not None:
                    return found
        raise AssertionError("unreachable: the loop only returns")

    def report(self, taken: TakenTrial, step: int, value: float) -> bool:
        """Report an intermediate score; returns whether the trial should be stopped early."""
        frozen = self._storage.get_trial(taken.trial._trial_id)
        if step not in frozen.intermediate_values:  # a continued trial repeats its last steps
            with contextlib.suppress(UpdateFinishedTrialError):
                taken.trial.report(value, step)
        return taken.trial.should_prune()

    def finish(self, taken: TakenTrial, value: float | None, record: Mapping[str, Any]) -> bool:
        """Record the result of a trial, None if it has no score. Returns False if it is not used.

        A trial had failed before if this process sent no heartbeat for long, and another one has replaced it.
        """
        try:
            for key, entry in record.items():
                taken.trial.set_user_attr(key, entry)
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            finished = self._study.tell(taken.trial, value, state, skip_if_finished=True)
            return finished.state in _DONE
        except UpdateFinishedTrialError:
            return False
        finally:
            taken.release()

    def fail(self, taken: TakenTrial, why: str) -> None:
        """Withdraw a trial; another one takes its place."""
        self._withdraw(taken.trial, why)
        taken.release()

    @contextlib.contextmanager
    def beating(self, taken: TakenTrial) -> Iterator[None]:
        """Send heartbeats for a trial while the block runs, if the storage supports them."""
        if not self._has_heartbeat:
            yield
            return
        stop = threading.Event()
        number, storage = taken.trial._trial_id, self._storage
        assert isinstance(storage, RDBStorage), "the only storage with heartbeats"

        def beat() -> None:
            while not stop.wait(_HEARTBEAT):
                storage.record_heartbeat(number)

        storage.record_heartbeat(number)
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _is_used_up(self, trials: Sequence[FrozenTrial], budget: Budget) -> bool:
        if len(trials) >= budget.trials:
            return True
        seconds = sum(trial.user_attrs.get("seconds") or 0.0 for trial in trials)
        return budget.seconds is not None and seconds >= budget.seconds

    def _interrupted(self) -> TakenTrial | None:
        """A trial in this folder whose process no longer holds its lock."""
        trials = self.trials()
        for position, trial in enumerate(trials, start=1):
            if trial.state != TrialState.RUNNING:
                continue
            place = trial.user_attrs.get("folder")
            if place is None:
                # Its process died between creating and claiming it, unless it is on another machine.
                age = datetime.now() - (trial.datetime_start or datetime.now())
                if not self._has_heartbeat or age > _NOT_STARTED:
                    self._withdraw(self._opened(trial), "lost")
                continue
            lock = acquired(self._out, f"{self.label}-{trial.number}") if place == self._place() else None
            if lock is not None:
                if self._storage.get_trial(trial._trial_id).state != TrialState.RUNNING:
                    lock.release()  # it was completed in the meantime
                    continue
                return TakenTrial(trial.number, position, trial.params, True, self._opened(trial), lock)
        return None

    def _new(self, budget: Budget, is_random: bool) -> TakenTrial | None:
        """Start a trial; None if it had to be withdrawn."""
        trials = self._study.get_trials(deepcopy=False)
        tried = [trial.params for trial in trials if trial.state in (*_DONE, *_RUNNING)]
        params = next((one for one in self._plan.planned if one not in tried), None)
        is_exhaustive = self._plan.space.size is not None and self._plan.space.size <= budget.trials
        if params is None and (is_random or is_exhaustive):
            params = self._untried(tried, len(trials))
        if params is None and len(trials) < (self._plan.num_spread or 0):
            params = self._spread(len(trials))
        if params is not None:
            self._study.enqueue_trial(dict(params))
        self._study.sampler = self._sampler(len(trials))
        trial = self._study.ask(self._plan.space.distributions)
        every = self._study.get_trials(deepcopy=False)
        earlier = [one for one in every if one.number < trial.number and one.state != TrialState.FAIL]
        is_repeated = any(one.params == trial.params for one in earlier)
        if len(earlier) >= budget.trials or is_repeated:
            self._withdraw(trial, "repeated" if is_repeated else "surplus")
            return None
        if self._has_heartbeat and isinstance(self._storage, RDBStorage):
            self._storage.record_heartbeat(trial._trial_id)
        lock = acquired(self._out, f"{self.label}-{trial.number}")
        assert lock is not None, "no other process knows the number of a new trial"
        trial.set_user_attr("folder", self._place())
        return TakenTrial(trial.number, len(earlier) + 1, trial.params, False, trial, lock)

    def _untried(self, tried: Sequence[Params], number: int) -> Params | None:
        """A random combination that was not tried, if the space is finite."""
        left = [one for one in self._plan.space.combinations() if one not in tried]
        draw = np.random.default_rng([self._plan.seed, number])
        return left[draw.integers(len(left))] if left else None

    def _spread(self, number: int) -> Params:
        """A point of a scrambled Halton sequence, which covers the space more evenly than random numbers."""
        draw = np.random.default_rng(self._plan.seed)
        points = qmc.Halton(len(self._plan.space.dimensions), seed=draw).random(number + 1)
        return self._plan.space.at(points[-1].tolist())

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """A sampler whose draws depend on the seed and the number of trials so far."""
        seed = int(np.random.SeedSequence(self._plan.seed, spawn_key=(number,)).generate_state(1)[0])
        if self._plan.num_spread is None:
            return optuna.samplers.RandomSampler(seed=seed)
        # Settings such as learning rate and batch size interact, so they are drawn together.
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=self._plan.num_spread
        )

    def _withdraw(self, trial: optuna.Trial, why: str) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            trial.set_user_attr("withdrawn", why)
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _opened(self, trial: FrozenTrial) -> optuna.Trial:
        return optuna.Trial(self._study, trial._trial_id)

    def _place(self) -> str:
        """An identifier of this folder among those of other machines that use the same storage."""
        return str((self._out / "search-id").read_text(encoding="utf-8"))


def wait_for_others() -> None:
    """Wait before asking for a trial again."""
    time.sleep(1.0)


def _pruner(share: float) -> optuna.pruners.BasePruner:
    if not share:
        return optuna.pruners.NopPruner()
    kept = 100 * (1 - share)
    return optuna.pruners.PercentilePruner(kept, n_startup_trials=_STARTUP, n_min_trials=_STARTUP)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from logging, and from warning about experimental features and about heartbeats."""
    logger = logging.getLogger("optuna")
    before = logger.level
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def describe_storage(setting: str, folder: Path) -> str:
    """The storage for messages."""
    file = {"sqlite": SQLITE, "journal": JOURNAL}.get(setting)
    return _without_password(setting) if file is None else shown_path(folder / file)
