"""Looks up in a manifest which splits there are, whose scores count, and what rows are called."""

from bertune.manifest import (
    DataRecord,
    DetailsRecord,
    ManifestRecord,
    MaxLengthRecord,
    ModelRecord,
    Score,
    SplitRecord,
    TrainingRecord,
)
from bertune.reporting.wording import in_order

Scores = dict[str, Score]


def data_of(manifest: ManifestRecord) -> DataRecord:
    """What was recorded of the data; of an unfinished or older run perhaps nothing."""
    return manifest.data or DataRecord()


def model_of(manifest: ManifestRecord) -> ModelRecord:
    """What was recorded of the model."""
    return manifest.model or ModelRecord()


def training_of(manifest: ManifestRecord) -> TrainingRecord:
    """What was recorded of the steps."""
    return manifest.training or TrainingRecord()


def max_length_of(manifest: ManifestRecord) -> MaxLengthRecord:
    """The most tokens of a sequence."""
    return manifest.max_length or MaxLengthRecord()


def scores_of(manifest: ManifestRecord, split: str) -> Scores:
    """The scores of a split; empty where it was not scored."""
    return (manifest.scores or {}).get(split) or {}


def splits_of(manifest: ManifestRecord) -> dict[str, SplitRecord]:
    """The recorded splits in the order of their use."""
    splits = data_of(manifest).splits or {}
    return {name: splits[name] for name in in_order(splits)}


def row_noun(manifest: ManifestRecord) -> str:
    """What a row is called: text, question …"""
    return manifest.row_noun or "text"


def is_row_a_sequence(manifest: ManifestRecord) -> bool:
    """Whether tokens were counted of whole rows, not of windows over them or of parts of theirs."""
    return all(split.sequences in (None, split.rows) for split in splits_of(manifest).values())


def num_sequences(split: SplitRecord) -> int | None:
    """What lengths were counted of."""
    return split.sequences or split.rows


def num_rows(manifest: ManifestRecord, split: str) -> int | None:
    """The recorded number of rows in a split."""
    return splits_of(manifest).get(split, SplitRecord()).rows


def scored(manifest: ManifestRecord, split: str) -> tuple[int, str] | None:
    """What the scores of a split are the mean over: how many, and what; None where it was not recorded."""
    details = (manifest.details or {}).get(split) or DetailsRecord()
    if details.unit and details.count is not None:
        return details.count, details.unit
    rows = num_rows(manifest, split)
    return (rows, row_noun(manifest)) if rows else None


def final_split(manifest: ManifestRecord) -> str | None:
    """The split whose scores count: test, else validation; None before any evaluation."""
    return next((split for split in ("test", "validation") if scores_of(manifest, split)), None)


def final_details(manifest: ManifestRecord) -> tuple[str, DetailsRecord]:
    """The split that counts and its details per class and batch; empty where none are recorded."""
    for name in (final_split(manifest), "test", "validation"):
        found = (manifest.details or {}).get(name) if name else None
        if name and found and found.model_fields_set:
            return name, found
    return "", DetailsRecord()
