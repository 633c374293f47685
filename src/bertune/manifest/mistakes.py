"""Records of the error analysis."""

from bertune.record import Number, Record


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


class ExplanationRecord(Record):
    """How much every word of some texts contributed to a number, such as the logit of the predicted label."""

    target: str | int | None = None  # what is explained
    texts: list[str] | None = None
    words: list[list[Number]] | None = None  # text, first character, last character + 1, contribution
    value: float | None = None  # the number for the texts
    baseline: float | None = None  # the number without their words


class MistakeRecord(Record):
    """One misclassified or badly predicted example."""

    id: str | None = None
    source: str | None = None
    measure: float | None = None
    facts: list[PassageRecord] | None = None
    passages: list[PassageRecord] | None = None
    items: list[PassageRecord] | None = None
    kinds: list[str] | None = None
    explanation: ExplanationRecord | None = None


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
    kinds: dict[str, int] | None = None
    shown: list[MistakeRecord] | None = None
