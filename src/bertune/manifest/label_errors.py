"""Records of likely label errors."""

from bertune.record import Record


class LabelErrorRecord(Record):
    """A row whose label is likely wrong."""

    id: str | None = None
    source: str | None = None  # file and line
    texts: list[str] | None = None
    given: str | None = None  # as in the label column, or the part of it that should be changed
    suggested: str | None = None
    score: float | None = None  # probability of the given label


class LabelErrorsRecord(Record):
    """The likely label errors of a split, or of all rows of a cross-validation."""

    num: int | None = None  # rows whose labels were judged
    num_likely: int | None = None
    noun: str | None = None
    rule: str | None = None  # how the number of likely errors was determined, a sentence
    file: str | None = None  # in the folder of the run: all rows, likely errors first
    settings: list[str] | None = None  # with which the file is read, as shell words
    shown: list[LabelErrorRecord] | None = None
