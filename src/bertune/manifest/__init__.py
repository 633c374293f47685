"""The types of `manifest.json`, with those of its parts in the other files of this package.

All records are optional: a report leaves out the section of a missing one. A value of the wrong type is an
error with its key, so that code that reads a run can rely on the types.
"""

from pathlib import Path
from typing import Any

from bertune.manifest.data import DataRecord, MaxLengthRecord
from bertune.manifest.details import DetailsRecord, Score
from bertune.manifest.results import (
    BaselinesRecord,
    GateRecord,
    IntervalsRecord,
    RuleRecord,
    ScalingRecord,
    SeedsRecord,
)
from bertune.manifest.slices import SlicesRecord
from bertune.manifest.training import ModelRecord, RefitRecord, TrainingRecord
from bertune.record import Record, checked


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
    refit: RefitRecord | None = None  # of the saved model; the scores belong to the first model
    machine: dict[str, str | int | float | None] | None = None
    versions: dict[str, str] | None = None
    scores: dict[str, dict[str, Score] | None] | None = None
    intervals: dict[str, IntervalsRecord] | None = None  # by split
    gates: list[GateRecord] | None = None
    seeds: SeedsRecord | None = None
    baselines: BaselinesRecord | None = None
    details: dict[str, DetailsRecord | None] | None = None
    slices: dict[str, SlicesRecord] | None = None  # by split
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
    """The entries that every finished run adds to the manifest."""

    training: _Training
    scores: dict[str, dict[str, float | None]]
    details: dict[str, dict[str, Any]]
    timings: _Timings
    warnings: list[str]
    peak_memory_mb: float | None


def check_manifest(manifest: dict[str, Any], path: Path) -> None:
    """Raise DamagedError with file and key if a value in a manifest has the wrong type."""
    checked(ManifestRecord, manifest, path)


def check_finished(manifest: dict[str, Any], path: Path) -> None:
    """Raise DamagedError with file and key if the manifest of a finished run lacks results."""
    checked(_Finished, manifest, path)
