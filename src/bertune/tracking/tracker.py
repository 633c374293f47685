"""The interface of a tracker. A user-defined tracker is a Python file that exports TRACKER, a subclass."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bertune.errors import ConfigError
from bertune.registry import exported, load

Status = Literal["complete", "interrupted", "failed"]
Fact = str | int | float | bool


@dataclass(frozen=True)
class Group:
    """Runs that belong together: the seeds of `train.seeds`, or the folds of a cross-validation."""

    id: str
    name: str


@dataclass(frozen=True)
class TrackedRun:
    """The description of a run that a tracker gets when training starts."""

    id: str  # 16 hexadecimal digits, the same when the run is resumed
    name: str
    project: str
    path: Path  # the run folder; trackers with local files may write to a subfolder
    settings: Mapping[str, Fact]  # the settings, by section.key
    facts: Mapping[str, Fact]  # what was resolved: rows, model, machine, versions
    resumed_at: int = 0  # steps already taken; 0 for a new run
    group: Group | None = None
    is_summary: bool = False  # whether it is the run that holds the results of its group


@dataclass(frozen=True)
class Row:
    """The values of one optimizer step. All are finite."""

    step: int  # from 1
    values: Mapping[str, float]  # such as train/loss, train/lr, validation/accuracy


@dataclass(frozen=True)
class Results:
    """The results of a run. Empty if it was interrupted or failed."""

    scores: Mapping[str, float] = field(default_factory=dict)  # test/accuracy, test/accuracy_low and _high
    facts: Mapping[str, Fact] = field(default_factory=dict)  # gates, the comparison with simple models, times
    step: int = 0  # the last step
    report: Path | None = None  # folder to store as an artifact, with index.html
    model: Path | None = None  # folder to store as an artifact, in the Hugging Face layout


class Tracker(ABC):
    """Logs runs, one after the other. All methods but `__init__` are called in one background thread.

    Training never waits for a tracker. If a method raises any exception, the user gets one warning with its
    message, and the tracker is not called again.
    """

    advice = "See the messages of the tracker"  # what the user can do if it fails, as a sentence

    def __init__(self) -> None:  # noqa: B027 - optional
        """Import what the tracker needs. Raises MissingPackageError before anything is read or written."""

    @abstractmethod
    def start(self, run: TrackedRun) -> str:
        """Open a run, or the existing one with the same ID. Returns where the user finds it, for a note."""

    @abstractmethod
    def log(self, rows: Sequence[Row]) -> None:
        """Log the rows since the last call, in order. A resumed run may repeat steps, with equal values."""

    @abstractmethod
    def finish(self, results: Results, status: Status) -> None:
        """Log the results and close the run."""


def make_tracker(name: str) -> Tracker:
    """The tracker with a name, or of a file of the user. Raises ConfigError, MissingPackageError."""
    module = load("tracker", name)
    tracker_class = exported(module, "TRACKER")
    if not (isinstance(tracker_class, type) and issubclass(tracker_class, Tracker)):
        raise ConfigError(
            f"{module.__file__}: TRACKER must be a subclass of bertune.tracking.tracker.Tracker, got "
            f"{tracker_class!r}"
        )
    missing = sorted(tracker_class.__abstractmethods__)
    if missing:
        raise ConfigError(
            f"{module.__file__}: {tracker_class.__name__} does not define {', '.join(missing)}; see "
            "bertune.tracking.tracker.Tracker"
        )
    tracker: Tracker = tracker_class()
    return tracker
