"""Records of scores and their details: tables, figures, rows by class."""

from bertune.record import Record


class Interval(Record):
    """A score with its confidence interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


Score = float | Interval | None


Cell = str | int | float | None


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
    lower_is_better: bool | None = None


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
