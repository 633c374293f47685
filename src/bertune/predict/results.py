"""The results of `Model.evaluate` and `Model.predict_file`, and the progress of the latter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.tasks import FittedTask
from bertune.text.sequences import Sequence


@dataclass(frozen=True)
class Labelled:
    """Labelled examples that a model can predict and score."""

    fitted: FittedTask  # which decodes and scores them
    examples: list[Any]
    sequences: list[Sequence]
    notes: tuple[str, ...]  # which file was read, and what was inferred about its columns
    warnings: tuple[str, ...] = ()  # about values that can be read in two ways


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on labelled data."""

    scores: dict[str, float | None]  # None if a score is undefined
    details: dict[str, Any]  # scores per class, confusion matrix and so on, as plain JSON
    num_examples: int
    num_truncated: int
    loss: float | None
    lines: list[dict[str, Any]]  # one per example, as in the predictions folder of a run
    files: dict[str, list[str]] = field(repr=False)  # lines of task-specific files, by suffix
    # Low and high end of the 95% interval of each score, and how they were computed: see IntervalsRecord.
    intervals: dict[str, Any] = field(default_factory=dict)
    noun: str = "text"  # what the task calls an example
    notes: tuple[str, ...] = ()  # which file was read, and what was inferred about its columns
    warnings: tuple[str, ...] = ()  # those of `Labelled`, and limitations of the scores
    # With a decision rule: the numbers of answers, those given without review and the wrong ones among these,
    # and a sentence.
    decision: dict[str, Any] | None = None
    # How well the probabilities match frequencies: "ece", "brier" and "log_loss"; None if the task has no
    # probabilities that could be calibrated.
    calibration: dict[str, float] | None = None


@dataclass(frozen=True)
class WrittenPredictions:
    """The result of `Model.predict_file`."""

    rows: int
    blank: int  # rows without text, which have no prediction
    truncated: int  # texts with more than model.max_length tokens, which were truncated
    renamed: Mapping[str, str] = field(default_factory=dict)  # renamed input columns, with their new names
    is_replacement: bool = False  # whether an existing file was replaced
    failed: int = 0  # rows that could not be predicted, such as a question with a single choice
    failures: tuple[str, ...] = ()  # error messages of the first failed rows, with file and line


class RowProgress(Protocol):
    """Receives the progress of `Model.predict_file`, and can stop it."""

    def watch(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The same rows, for each pass over the input. It may raise an exception to stop."""

    def expect(self, rows: int) -> None:
        """Called once, with the number of rows of the input."""

    def advance(self, rows: int) -> None:
        """Called after each chunk, with the number of rows that were read and predicted so far."""


def watched(table: Table, progress: RowProgress) -> Table:
    """A table whose rows pass through `progress.watch`."""
    ungrouped = None if table.ungrouped is None else watched(table.ungrouped, progress)
    return replace(table, rows=lambda: progress.watch(table.rows()), ungrouped=ungrouped)
