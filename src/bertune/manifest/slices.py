"""Records of the scores of slices."""

from bertune.manifest.results import DifferenceRecord
from bertune.record import Record


class SliceRecord(Record):
    """The score of some rows, compared with that of the rest."""

    kind: str | None = None  # length, label, truncated, unknown tokens, or the name of a column
    name: str | None = None
    rows: int | None = None
    value: float | None = None
    interval: list[float] | None = None
    rest: float | None = None  # score of the other rows
    difference: DifferenceRecord | None = None  # slice minus rest
    p_holm: float | None = None  # corrected for the number of slices
    verdict: str | None = None  # worse, better, or empty


class SlicesRecord(Record):
    """The slices of a split, the most clearly worse first."""

    score: str | None = None
    noun: str | None = None
    slices: list[SliceRecord] | None = None
