"""Read the folder of a hyperparameter search. Nothing in it is ever executed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.errors import InputError
from bertune.files import as_path, shell_word, shown_path
from bertune.manifest.details import DetailsRecord
from bertune.record import Record, read_sealed
from bertune.run import Run

FORMAT = 1  # incremented when the layout changes; all earlier formats can be read
RECORD, TRIALS, BEST = "tuning.json", "trials", "best"

Value = str | int | float | bool | None


class DimensionRecord(Record):
    """The search space of one setting."""

    setting: str
    searched: str | None = None  # in words
    default: Value = None  # the value without the search
    best: Value = None
    importance: float | None = None  # share of the differences between trials, 0 to 1


class TrialRecord(Record):
    """One trial."""

    number: int  # in the storage, from 0
    stage: str | None = None  # trial, proxy or target
    outcome: str | None = None  # complete, pruned, diverged, undefined, or running
    value: float | None = None
    params: dict[str, Value] | None = None  # by setting
    seconds: float | None = None
    best_step: int | None = None
    total_steps: int | None = None
    folds: list[float | None] | None = None
    is_default: bool | None = None
    folder: str | None = None  # in the folder of the search; None if it was trained on another machine


class OptimismRecord(Record):
    """By how much the best score of the search is expected to be too high."""

    trials: int | None = None
    expected: float | None = None
    noise: float | None = None
    ceiling: float | None = None


class WinnerRecord(Record):
    """The run of the best settings."""

    trial: int | None = None
    params: dict[str, Value] | None = None
    value: float | None = None  # that selected it
    validation: float | None = None  # of the run, with its own training
    validation_interval: list[float] | None = None
    test: float | None = None
    test_interval: list[float] | None = None
    gap: float | None = None  # how much better `value` is than `test`, in the direction of the score
    gap_interval: list[float] | None = None
    best_step: int | None = None
    total_steps: int | None = None
    seconds: float | None = None


class TuningRecord(Record):
    """The complete `tuning.json`."""

    format: int
    name: str | None = None
    status: str | None = None  # searching or complete
    created: str | None = None
    source: str | None = None
    task: str | None = None
    model: str | None = None
    proxy: str | None = None
    row_noun: str | None = None
    metric: str | None = None
    lower_is_better: bool | None = None
    labels: list[str] | None = None
    scored_on: str | None = None  # the rows that trials are compared on, in words
    settings: dict[str, Any] | None = None  # [tune], as resolved
    storage: str | None = None
    study: str | None = None
    space: list[DimensionRecord] | None = None
    trials: list[TrialRecord] | None = None
    winner: WinnerRecord | None = None
    optimism: OptimismRecord | None = None
    sentences: dict[str, str] | None = None  # conclusions in words, by title
    details: DetailsRecord | None = None  # tables and figures
    notes: list[str] | None = None
    warnings: list[str] | None = None
    versions: dict[str, str] | None = None
    seconds: float | None = None  # training time of all trials


@dataclass(frozen=True)
class Tuning:
    """A finished or unfinished search, read from its folder."""

    path: Path

    @property
    def record(self) -> TuningRecord:
        """Space, trials, winner and conclusions as typed records. Raises InputError."""
        return read_record(self.path)

    @property
    def is_complete(self) -> bool:
        """Whether all trials are done and the best settings were trained."""
        return self.record.status == "complete"

    @property
    def best(self) -> Run:
        """The run of the best settings, for `bertune.load`, `predict`, `export` and all other commands."""
        return Run(self.path / BEST)

    @property
    def params(self) -> dict[str, Any]:
        """The best settings by name, for use as `settings=`."""
        winner = self.record.winner
        return dict((winner.params if winner else None) or {})

    @property
    def trials(self) -> list[TrialRecord]:
        """The completed trials, in the order in which they started."""
        return self.record.trials or []


def is_tuning(path: Path) -> bool:
    """Whether a folder is a search."""
    return (path / RECORD).is_file()


def open_tuning(path: str | Path) -> Tuning:
    """Open the folder of a search. Raises InputError if it is not one, or is damaged."""
    folder = as_path(path, "the search")
    if not is_tuning(folder):
        raise InputError(
            f"{shown_path(folder)} is not a search: it has no {RECORD}. "
            f"`bertune tune SOURCE --out {shell_word(folder)}` creates one"
        )
    read_record(folder)
    return Tuning(folder)


def read_record(folder: Path) -> TuningRecord:
    """Read `tuning.json` and verify its checksum and types. Raises InputError."""
    return read_sealed(folder / RECORD, TuningRecord, FORMAT)
