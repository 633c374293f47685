"""Accessors for a run's manifest that supply defaults for missing entries."""

from bertune.errors import plural
from bertune.manifest import ManifestRecord
from bertune.manifest.data import DataRecord, MaxLengthRecord, SplitRecord
from bertune.manifest.details import DetailsRecord, Interval, Score
from bertune.manifest.results import IntervalsRecord
from bertune.manifest.training import ModelRecord, TrainingRecord
from bertune.reporting.wording import in_order

Scores = dict[str, Score]


def data_of(manifest: ManifestRecord) -> DataRecord:
    """The data record; empty for a run that stopped before it was written."""
    return manifest.data or DataRecord()


def model_of(manifest: ManifestRecord) -> ModelRecord:
    """The model record, or an empty one."""
    return manifest.model or ModelRecord()


def training_of(manifest: ManifestRecord) -> TrainingRecord:
    """The training record, or an empty one."""
    return manifest.training or TrainingRecord()


def max_length_of(manifest: ManifestRecord) -> MaxLengthRecord:
    """The maximum sequence length in tokens, or an empty record."""
    return manifest.max_length or MaxLengthRecord()


def scores_of(manifest: ManifestRecord, split: str) -> Scores:
    """The scores of a split, with their intervals if recorded; empty if it was not scored."""
    scores = (manifest.scores or {}).get(split) or {}
    intervals = ((manifest.intervals or {}).get(split) or IntervalsRecord()).scores or {}
    return {name: with_interval(value, intervals.get(name)) for name, value in scores.items()}


def with_interval(value: Score, ends: list[float] | None) -> Score:
    """A score as an Interval if its low and high end are recorded."""
    if ends is None or len(ends) != 2 or not isinstance(value, int | float):
        return value
    return Interval(value=float(value), low=ends[0], high=ends[1])


def interval_sentence(manifest: ManifestRecord) -> str:
    """How the intervals of the scores were computed; empty if there are none."""
    known = [found for found in (manifest.intervals or {}).values() if found.method and found.scores]
    if not known:
        return ""
    noun = row_noun(manifest)
    unit = f"whole groups of {plural(noun)}" if known[0].is_grouped else f"single {plural(noun)}"
    what = "bootstrap resamples" if known[0].method == "bootstrap" else "random halves"
    return (
        f"Below each score is its {known[0].level or 0:.0%} interval, from {known[0].resamples or 0:,} "
        f"{what} of {unit}: the range in which the score of this model on all such data is expected. It does "
        "not include how much scores vary between training seeds."
    )


def splits_of(manifest: ManifestRecord) -> dict[str, SplitRecord]:
    """The recorded splits in the order train, validation, test."""
    splits = data_of(manifest).splits or {}
    return {name: splits[name] for name in in_order(splits)}


def row_noun(manifest: ManifestRecord) -> str:
    """The noun for one row, such as text or question."""
    return manifest.row_noun or "text"


def is_row_a_sequence(manifest: ManifestRecord) -> bool:
    """Whether each row is one sequence, so that token counts are per row and not per window or part."""
    return all(split.sequences in (None, split.rows) for split in splits_of(manifest).values())


def num_sequences(split: SplitRecord) -> int | None:
    """The number of sequences whose lengths were counted."""
    return split.sequences or split.rows


def num_rows(manifest: ManifestRecord, split: str) -> int | None:
    """The recorded number of rows in a split."""
    return splits_of(manifest).get(split, SplitRecord()).rows


def scored(manifest: ManifestRecord, split: str) -> tuple[int, str] | None:
    """Number and noun of the units that a split's scores average over; None if not recorded."""
    details = (manifest.details or {}).get(split) or DetailsRecord()
    if details.unit and details.count is not None:
        return details.count, details.unit
    rows = num_rows(manifest, split)
    return (rows, row_noun(manifest)) if rows else None


def final_split(manifest: ManifestRecord) -> str | None:
    """The split of the headline score: test, else validation; None before any evaluation."""
    return next((split for split in ("test", "validation") if scores_of(manifest, split)), None)


def final_details(manifest: ManifestRecord) -> tuple[str, DetailsRecord]:
    """The final split and the details of its scores; empty if none were recorded."""
    for name in (final_split(manifest), "test", "validation"):
        details = (manifest.details or {}).get(name) if name else None
        if name and details and details.model_fields_set:
            return name, details
    return "", DetailsRecord()
