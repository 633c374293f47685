"""Records of the error analysis."""

from bertune.record import Record


class MarkRecord(Record):
    """A highlighted span of a text."""

    start: int
    end: int
    role: str | None = None
    label: str | None = None


class PassageRecord(Record):
    """A text of an example, or one of the items to choose from or to rank."""

    text: str | None = None
    name: str | None = None
    role: str | None = None
    note: str | None = None
    rank: int | None = None
    probability: float | None = None
    marks: list[MarkRecord] | None = None


class MistakeRecord(Record):
    """One misclassified or badly predicted example."""

    id: str | None = None
    source: str | None = None
    measure: float | None = None
    facts: list[PassageRecord] | None = None
    passages: list[PassageRecord] | None = None
    items: list[PassageRecord] | None = None


class MistakesRecord(Record):
    """The worst errors of a split, as in `metrics.mistakes.Mistakes`."""

    title: str | None = None
    unit: str | None = None
    num: int | None = None
    num_wrong: int | None = None
    what: str | None = None
    order: str | None = None
    measure: str | None = None
    is_probability: bool | None = None
    shown: list[MistakeRecord] | None = None
