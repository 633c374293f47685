"""The events of a search, which its caller displays or ignores, interleaved with those of its runs."""

from dataclasses import dataclass

from bertune.search.space import Params
from bertune.training.events import Event
from bertune.training.preparing import Prepared
from bertune.tuning import TrialRecord, Tuning


@dataclass(frozen=True)
class SearchReady:
    """The space, the rows and the settings have been checked. Nothing has been written yet."""

    name: str
    prepared: Prepared  # the rows as the run of the best settings uses them, with the findings of the audit
    total: int
    scored_on: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TrialStarted:
    """This process trains a trial from here on."""

    position: int  # among the trials of its stage, from 1
    total: int
    stage: str  # trial, proxy or target
    params: Params
    was_started: bool  # by a process that was killed or interrupted


@dataclass(frozen=True)
class TrialFinished:
    """This process has completed a trial."""

    num_done: int  # trials of the stage that all processes have completed
    total: int
    metric: str
    trial: TrialRecord
    is_best: bool  # so far


@dataclass(frozen=True)
class WinnerStarted:
    """All trials are done; the best settings are trained from here on."""

    params: Params
    value: float
    metric: str


@dataclass(frozen=True)
class Tuned:
    """The search is complete."""

    result: Tuning


SearchEvent = SearchReady | TrialStarted | TrialFinished | WinnerStarted | Tuned | Event
