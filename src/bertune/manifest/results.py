"""Records of what follows from the scores: intervals, gates, simple models, seeds, calibration, decisions."""

from typing import Any

from bertune.manifest.details import FigureRecord
from bertune.record import Record


class IntervalsRecord(Record):
    """The intervals of the scores of one split, and how they were computed."""

    level: float | None = None  # such as 0.95
    method: str | None = None  # None if there were too few units
    resamples: int | None = None
    units: int | None = None  # rows, or groups of rows, that were resampled
    is_grouped: bool | None = None
    units_sha256: str | None = None  # of row units; runs with equal hashes have paired resamples
    scores: dict[str, list[float] | None] | None = None  # low and high


class GateRecord(Record):
    """A quality gate: a limit on a final score."""

    score: str | None = None
    limit: float | None = None
    lower_is_better: bool | None = None
    split: str | None = None
    value: float | None = None
    passed: bool | None = None


class DifferenceRecord(Record):
    """The difference of a score between two models on the same rows: the second minus the first."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


class SimpleModelRecord(Record):
    """The scores of a simple model, and how much better the trained model is."""

    name: str | None = None
    rows: int | None = None  # training rows
    seconds: float | None = None  # to compute features, fit and predict
    scores: dict[str, float | None] | None = None
    intervals: dict[str, list[float] | None] | None = None
    differences: dict[str, DifferenceRecord | None] | None = None


class BaselinesRecord(Record):
    """Simple models on the same split as the trained model."""

    split: str | None = None
    score: str | None = None  # that the verdict is about
    rows: int | None = None  # all training rows
    models: list[SimpleModelRecord] | None = None
    verdict: str | None = None


class SpreadRecord(Record):
    """The values of a score over several seeds."""

    mean: float | None = None
    sd: float | None = None  # standard deviation
    low: float | None = None
    high: float | None = None
    seeds: int | None = None  # for which the score is defined


class SeedRecord(Record):
    """The run of one seed."""

    seed: int | None = None
    folder: str | None = None  # in the run folder
    scores: dict[str, dict[str, float | None]] | None = None
    collapsed: bool | None = None


class SeedsRecord(Record):
    """The runs of several seeds, and the spread of their scores by split."""

    best: int | None = None
    primary: str | None = None
    runs: list[SeedRecord] | None = None
    spread: dict[str, dict[str, SpreadRecord | None]] | None = None


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
    share: float | None = None  # share of the calibration rows that need no review
    needed: int | None = None  # labelled examples that are missing
    questions: list[dict[str, Any]] | None = None
    figure: FigureRecord | None = None
    measured: dict[str, Any] | None = None  # what the rule does on the final split
