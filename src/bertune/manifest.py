"""Types of the records of a run: `manifest.json`, the error analysis, and the comparison of an export.

All records are optional: a report leaves out the section of a missing one. A value of the wrong type is an
error with its key, so that code that reads a run can rely on the types.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from bertune.errors import DamagedError
from bertune.files import shown_path
from bertune.record import Number, Record, RefitRecord, SplittingRecord
from bertune.records import BaselinesRecord, GateRecord, IntervalsRecord, SeedsRecord


class Interval(Record):
    """A score with its confidence interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


Score = float | Interval | None
Cell = str | int | float | None


class SplitRecord(Record):
    """Rows, labels and token counts of one split."""

    source: str | None = None
    sha256: str | None = None
    rows: int | None = None
    sequences: int | None = None
    labels: dict[str, int] | None = None
    labels_left_out: int | None = None
    duplicates: int | None = None
    near_duplicates: int | None = None
    conflicting_duplicates: int | None = None
    truncated: int | None = None
    tokens: dict[str, Number] | None = None
    truncated_at: dict[str, Number] | None = None
    histogram: dict[str, list[Number]] | None = None


class FindingRecord(Record):
    """A finding of the audit, as in `audit.findings.Finding`."""

    kind: str | None = None
    level: str | None = None
    split: str | None = None
    count: int | None = None
    total: int | None = None
    message: str | None = None
    remedy: str | None = None
    rows: list[dict[str, str]] | None = None  # keys: place, text, note
    values: dict[str, Any] | None = None


class DataRecord(Record):
    """All splits, the number of texts that two of them share, the findings, and rows that were dropped."""

    split: SplittingRecord | None = None
    splits: dict[str, SplitRecord] | None = None
    shared_texts: dict[str, int] | None = None
    columns: dict[str, str | list[str] | None] | None = None
    findings: list[FindingRecord] | None = None
    dropped: dict[str, int] | None = None  # training rows, by the setting that dropped them


class MaxLengthRecord(Record):
    """The maximum tokens of a sequence, and how it was chosen."""

    value: int | None = None
    why: str | None = None
    model_limit: int | None = None


class BlockRecord(Record):
    """A block of the model and its number of parameters."""

    name: str | None = None
    parameters: int | None = None
    trained: bool | None = None


class ModelRecord(Record):
    """The encoder and its size."""

    name: str | None = None
    weights: str | None = None
    class_name: str | None = Field(None, alias="class")
    forward: str | None = None  # "packed", or "padded: " and the reason
    parameters: int | None = None
    blocks: list[BlockRecord] | None = None


class BestRecord(Record):
    """The step of the best checkpoint."""

    step: int | None = None
    epoch: float | None = None
    score: str | None = None
    value: float | None = None
    lower_is_better: bool | None = None
    # The step with the best score, even if it is not clearly better than the selected one.
    top_step: int | None = None
    top_value: float | None = None


class TrainingRecord(Record):
    """The planned steps, and the steps that were taken."""

    total_steps: int | None = None
    steps_per_epoch: int | None = None
    warmup_steps: int | None = None
    steps_done: int | None = None
    stopped_early: bool | None = None
    best: BestRecord | None = None


class ClassRecord(Record):
    """Precision, recall and F1 of one label."""

    label: str | None = None
    precision: Score = None
    recall: Score = None
    f1: Score = None
    support: int | None = None


class ConfusionRecord(Record):
    """How often one label was predicted as another."""

    gold: str | None = None
    predicted: str | None = None
    count: int | None = None
    support: int | None = None


class ConfusionsRecord(Record):
    """The most frequent confusions, for too many labels to show a matrix."""

    rows: list[ConfusionRecord] | None = None
    num_pairs: int | None = None
    most_labels: int | None = None


class BatchRecord(Record):
    """The score of every batch of texts."""

    score: str | None = None
    batch_size: int | None = None
    values: list[float | None] | None = None
    num_batches: int | None = None
    total: float | None = None


class BaselineRecord(Record):
    """The score of a trivial baseline."""

    score: str | None = None
    value: float | None = None
    how: str | None = None


class TableRecord(Record):
    """An additional table of the scores."""

    title: str | None = None
    headings: list[str] | None = None
    rows: list[list[Cell]] | None = None
    note: str | None = None


class BinRecord(Record):
    """One bin of a calibration curve."""

    confidence: float
    right: float
    count: int


class Points(Record):
    """The coordinates of points."""

    x: list[float | None] | None = None
    y: list[float | None] | None = None


class FigureRecord(Points):
    """A figure of any kind defined in `metrics.details`."""

    kind: str | None = None
    title: str | None = None
    axes: list[str] | None = None
    edges: list[float] | None = None
    counts: list[int] | None = None
    series: dict[str, Points] | None = None
    marks: dict[str, float | None] | None = None
    bins: list[BinRecord] | None = None
    error: float | None = None
    before: list[BinRecord] | None = None  # bins without temperature scaling
    error_before: float | None = None
    unit: str | None = None  # what the counts of a calibration curve are counts of
    num: int | None = None


class DetailsRecord(Record):
    """Details of the scores of one split."""

    unit: str | None = None
    count: int | None = None
    counted: str | None = None
    labels: list[str] | None = None
    per_class: list[ClassRecord] | None = None
    confusion_matrix: list[list[int]] | None = None
    confusions: ConfusionsRecord | None = None
    by_batch: BatchRecord | None = None
    baseline: BaselineRecord | None = None
    tables: list[TableRecord] | None = None
    figures: list[FigureRecord] | None = None


class MeasuresRecord(Record):
    """How well probabilities match frequencies."""

    ece: float | None = None
    brier: float | None = None
    log_loss: float | None = None


class ScalingRecord(Record):
    """Temperature scaling: what it was fitted on, and what it changes on other rows of a split."""

    method: str | None = None
    temperatures: list[float] | None = None
    rows: int | None = None
    source: str | None = None
    before: MeasuresRecord | None = None
    after: MeasuresRecord | None = None
    split: str | None = (
        None  # on which before and after are measured; None: on the rows that it was fitted on
    )


class RuleRecord(Record):
    """The decision rule of a model in sentences and numbers."""

    sentence: str | None = None
    source: str | None = None
    max_error: float | None = None
    confidence: float | None = None
    share: float | None = None  # of the calibration rows that need no review
    needed: int | None = None  # labelled examples that are missing
    questions: list[dict[str, Any]] | None = None
    figure: FigureRecord | None = None
    measured: dict[str, Any] | None = None  # what the rule does on the final split


class ManifestRecord(Record):
    """The complete `manifest.json`."""

    format: int
    name: str | None = None
    status: str | None = None
    created: str | None = None
    source: str | None = None
    task: str | None = None
    row_noun: str | None = None
    primary: str | None = None
    labels: list[str] | None = None
    notes: list[str] | None = None
    warnings: list[str] | None = None
    data: DataRecord | None = None
    max_length: MaxLengthRecord | None = None
    model: ModelRecord | None = None
    training: TrainingRecord | None = None
    refit: RefitRecord | None = None  # of the saved model; the scores are those of the first model
    machine: dict[str, str | int | float | None] | None = None
    versions: dict[str, str] | None = None
    scores: dict[str, dict[str, Score] | None] | None = None
    intervals: dict[str, IntervalsRecord] | None = None  # by split
    gates: list[GateRecord] | None = None
    seeds: SeedsRecord | None = None
    baselines: BaselinesRecord | None = None
    details: dict[str, DetailsRecord | None] | None = None
    calibration: ScalingRecord | None = None
    decision: RuleRecord | None = None
    timings: dict[str, float] | None = None
    peak_memory_mb: float | None = None
    files: dict[str, str] | None = None


class _Best(Record):
    step: int
    score: str
    value: float | None


class _Training(Record):
    total_steps: int
    stopped_early: bool
    best: _Best


class _Timings(Record):
    total_seconds: float
    train_examples_per_second: float


class _Finished(Record):
    """What every finished training adds to the manifest."""

    training: _Training
    scores: dict[str, dict[str, float | None]]
    details: dict[str, dict[str, Any]]
    timings: _Timings
    warnings: list[str]
    peak_memory_mb: float | None


class MarkRecord(Record):
    """A highlighted span of a text."""

    start: int
    end: int
    role: str | None = None
    label: str | None = None


class PassageRecord(Record):
    """A text of an example, or one of the items to choose from or to rank."""

    text: str | None = None
    name: str | None = None
    role: str | None = None
    note: str | None = None
    rank: int | None = None
    probability: float | None = None
    marks: list[MarkRecord] | None = None


class MistakeRecord(Record):
    """One misclassified or badly predicted example."""

    id: str | None = None
    source: str | None = None
    measure: float | None = None
    facts: list[PassageRecord] | None = None
    passages: list[PassageRecord] | None = None
    items: list[PassageRecord] | None = None


class MistakesRecord(Record):
    """The worst errors of a split, as in `metrics.mistakes.Mistakes`."""

    title: str | None = None
    unit: str | None = None
    num: int | None = None
    num_wrong: int | None = None
    what: str | None = None
    order: str | None = None
    measure: str | None = None
    is_probability: bool | None = None
    shown: list[MistakeRecord] | None = None


class SidesRecord(Record):
    """A number of the trained model and of an export."""

    model: float | None = None
    export: float | None = None


class SpeedRecord(Record):
    """The speed of a model on validation rows."""

    rows_per_second: float | None = None
    milliseconds_per_row: float | None = None
    precision: str | None = None


class ParityRecord(Record):
    """`parity.json`: how far an export differs from the trained model."""

    format: str
    rows: int | None = None
    largest_difference: float | None = None
    flips: int | None = None
    primary: str | None = None
    scores: dict[str, SidesRecord] | None = None
    speed: dict[str, SpeedRecord] | None = None  # keys: model, export
    size_mb: SidesRecord | None = None
    parts: int | None = None  # of the network, each of which is quantized or stays in fp32
    parts_in_fp32: list[str] | None = None


Kind = TypeVar("Kind", bound=BaseModel)


def check_manifest(manifest: dict[str, Any], path: Path) -> None:
    """Raise DamagedError with file and key if a value in a manifest has the wrong type."""
    checked(ManifestRecord, manifest, path)


def check_finished(manifest: dict[str, Any], path: Path) -> None:
    """Raise DamagedError with file and key if the manifest of a finished run lacks results."""
    checked(_Finished, manifest, path)


def checked(kind: type[Kind], value: object, path: Path) -> Kind:
    """Validate a value as a record. Raises DamagedError with the file and every invalid key."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for one in error.errors():
            # For a union, pydantic appends the member type to the location, which means nothing to the user.
            place = ".".join(str(part) for part in one["loc"] if not str(part)[:1].isupper()) or "(top level)"
            for member in (".float", ".int", ".str", ".list[str]"):
                place = place.removesuffix(member)
            problems.setdefault(place, f"{place} is {_shown(one['input'])} ({one['msg'].lower()})")
        listed = "; ".join(list(problems.values())[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DamagedError(f"{shown_path(path)} is damaged: {listed}{more}") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
