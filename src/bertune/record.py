"""The type of all records of a run, and the record of how its rows were divided."""

from typing import Any

from pydantic import BaseModel, ConfigDict

Number = float | int  # whole numbers are stored as int


class Record(BaseModel):
    """A group of recorded values. Each may be missing or null, but must not have another type."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """The recorded values as plain JSON, without those that were not set."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class RefitRecord(Record):
    """The second training, on training and validation rows together, whose model was saved."""

    steps: int
    rows: int
    seconds: float | None = None


class FoldNumberRecord(Record):
    """Which fold of a cross-validation a run is, from 1."""

    repeat: int
    fold: int
    folds: int
    repeats: int


class SplittingRecord(Record):
    """How the rows were divided into splits."""

    how: dict[str, str] | None = None  # by split: by files, by a column, or how training rows were held out
    fractions: dict[str, Number] | None = None  # of the training rows, by split that was held out
    seed: int | None = None
    group: str | None = None
    time: str | None = None
    split_column: str | None = None
    fold: FoldNumberRecord | None = None
