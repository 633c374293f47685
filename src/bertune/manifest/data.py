"""Records of the data: its splits, statistics and findings, and how it was split."""

from typing import Any

from bertune.record import Number, Record


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


class FoldNumberRecord(Record):
    """The fold of a cross-validation that a run belongs to, from 1."""

    repeat: int
    fold: int
    folds: int
    repeats: int


class SplittingRecord(Record):
    """How the rows were divided into splits."""

    how: dict[str, str] | None = None  # by split: by files, by a column, or how training rows were held out
    fractions: dict[str, Number] | None = None  # share of the training rows held out for each split
    seed: int | None = None
    group: str | None = None
    time: str | None = None
    split_column: str | None = None
    fold: FoldNumberRecord | None = None


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
