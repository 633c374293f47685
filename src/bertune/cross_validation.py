"""Read the folder of a cross-validation. Nothing in it is ever executed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bertune.errors import InputError
from bertune.files import (
    JsonObject,
    as_path,
    read_jsonl,
    shell_word,
    shown_path,
)
from bertune.manifest.details import DetailsRecord
from bertune.manifest.results import GateRecord
from bertune.manifest.slices import SlicesRecord
from bertune.record import Record, read_sealed
from bertune.run import PREDICTIONS, Run

FORMAT = 1  # incremented when the layout changes; all earlier formats can be read
RECORD, FOLDS = "cross-validation.json", "folds"
OUT_OF_FOLD = "out-of-fold"  # name of the prediction files, in the folder PREDICTIONS


class SummaryRecord(Record):
    """One score: over the test rows of each fold, and over all out-of-fold predictions together."""

    mean: float | None = None  # over all folds of all repetitions
    deviation: float | None = None  # standard deviation of the folds (n - 1)
    low: float | None = None
    high: float | None = None
    folds: list[float | None] | None = None  # in the order of `runs`
    pooled: float | None = None  # mean over the repetitions
    pooled_by_repeat: list[float | None] | None = None


class FoldRunRecord(Record):
    """The run of one fold."""

    name: str  # name of its folder
    repeat: int
    fold: int
    rows: dict[str, int] | None = None  # by split
    best_step: int | None = None
    total_steps: int | None = None
    scores: dict[str, float | None] | None = None  # of the test split
    seconds: float | None = None


class CrossValidationRecord(Record):
    """The complete `cross-validation.json`."""

    format: int
    name: str | None = None
    status: str | None = None  # training or complete
    created: str | None = None
    source: str | None = None
    task: str | None = None
    model: str | None = None
    row_noun: str | None = None
    primary: str | None = None
    labels: list[str] | None = None
    how: str | None = None  # how the rows were divided
    num_folds: int
    num_repeats: int
    num_rows: int | None = None
    num_groups: int | None = None  # None if rows are independent
    data_sha256: str | None = None  # of the examples and their folds
    notes: list[str] | None = None
    warnings: list[str] | None = None
    runs: list[FoldRunRecord]
    slices: SlicesRecord | None = None
    scores: dict[str, SummaryRecord] | None = None
    gates: list[GateRecord] | None = None  # on the mean over all folds
    decision: str | None = None  # what the decision rules of the folds do, a sentence
    details: DetailsRecord | None = None  # of the pooled scores of the first repetition
    versions: dict[str, str] | None = None
    seconds: float | None = None  # total over all folds


@dataclass(frozen=True)
class CrossValidation:
    """A finished or unfinished cross-validation, read from its folder."""

    path: Path

    @property
    def record(self) -> CrossValidationRecord:
        """Folds, scores and settings as typed records. Raises InputError."""
        return read_record(self.path)

    @property
    def is_complete(self) -> bool:
        """Whether all folds were trained and their predictions were collected."""
        return self.record.status == "complete"

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """For each score, the mean and standard deviation over the folds, and the pooled score."""
        return {
            name: {"mean": one.mean, "deviation": one.deviation, "pooled": one.pooled}
            for name, one in (self.record.scores or {}).items()
        }

    @property
    def runs(self) -> list[Run]:
        """The runs of the folds, repetition by repetition."""
        return [Run(self.path / FOLDS / run.name) for run in self.record.runs]

    def predictions(self) -> Iterator[JsonObject]:
        """The out-of-fold predictions of every row, repetition by repetition, in the order of the source.

        The keys are repeat, fold, id, source, text, gold and those of the prediction.
        """
        return read_jsonl(self.path / PREDICTIONS / f"{OUT_OF_FOLD}.jsonl")


def is_cross_validation(path: Path) -> bool:
    """Whether a folder is a cross-validation."""
    return (path / RECORD).is_file()


def open_cross_validation(path: str | Path) -> CrossValidation:
    """Open the folder of a cross-validation. Raises InputError if it is not one, or is damaged."""
    folder = as_path(path, "the cross-validation")
    if not is_cross_validation(folder):
        raise InputError(
            f"{shown_path(folder)} is not a cross-validation: it has no {RECORD}. "
            f"`bertune cross-validate SOURCE --out {shell_word(folder)}` creates one"
        )
    read_record(folder)
    return CrossValidation(folder)


def read_record(folder: Path) -> CrossValidationRecord:
    """Read `cross-validation.json` and verify its checksum and types. Raises InputError."""
    return read_sealed(folder / RECORD, CrossValidationRecord, FORMAT)
