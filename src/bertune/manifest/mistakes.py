"""Records of the error analysis."""

from bertune.record import Number, Record


class MarkRecord(Record):
    """A highlighted span of a text."""

    start: int
    end: int
    role: str | None = None
    label: str | None = None


class ExplanationRecord(Record):
    """How much every word of some texts contributed to a number, such as the logit of the predicted label."""

    target: str | int | None = None  # what is explained
    texts: list[str] | None = None
    words: list[list[Number]] | None = None  # text, first character, last character + 1, contribution
    value: float | None = None  # the number for the texts
    baseline: float | None = None  # the number without their words
    places: list[list[int]] | None = None  # text, first character, last + 1 of the explained part of the text


class PassageRecord(Record):
    """A text of an example, or one of the items to choose from or to rank."""

    text: str | None = None
    name: str | None = None
    role: str | None = None
    note: str | None = None
    rank: int | None = None
    probability: float | None = None
    marks: list[MarkRecord] | None = None
    explanation: ExplanationRecord | None = None


class ExplainsRecord(Record):
    """The prediction that an explanation of an error explains, as in `metrics.mistakes.Explains`."""

    example: int | None = None
    target: str | int | None = None


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
    explains: ExplainsRecord | None = None


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
