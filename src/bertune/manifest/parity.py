"""Records of the comparison of an export with the trained model."""

from bertune.record import Record


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
    parts: int | None = None  # parts of the network that are either quantized or kept in fp32
    parts_in_fp32: list[str] | None = None
