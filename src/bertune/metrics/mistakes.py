"""Data classes for error analysis, which every task can fill and the report renders."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import Any, Literal

MOST = 300  # errors in a report
MOST_OF_KIND = 3  # examples of each frequent kind of error, even if not among the worst
MOST_KINDS = 40  # kinds of errors that are counted
MOST_CHARACTERS = 600_000  # over all errors, so that the report stays below 3 MB
ALWAYS = 20  # errors in a report, however long

# right: predicted and gold; wrong: predicted but not gold; missed: gold but not predicted
Role = Literal["", "right", "wrong", "missed"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A named value of an example, such as "predicted: bad"."""

    name: str
    text: str
    role: Role = ""
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked part of a text, from its first character to its last character + 1."""

    start: int
    end: int
    role: Role
    label: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of an example, with marked parts."""

    text: str
    name: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Explains:
    """The prediction that an explanation of an error explains."""

    example: int  # position in the split
    target: str | int | None = None  # as in `FittedTask.explained`


@dataclass(frozen=True, slots=True)
class Item:
    """One of several choices, or an entry of a ranking."""

    text: str
    role: Role = ""
    note: str = ""
    rank: int | None = None
    probability: float | None = None
    explains: Explains | None = None  # the prediction to explain; None: this item has no explanation
    explanation: Mapping[str, Any] | None = None  # as in `Mistake`


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrongly predicted example; texts are complete and not escaped.

    If an error is not that of a single example, or one of several in it, `explains` says which prediction an
    explanation explains, and so do the items that have one.
    """

    id: str
    source: str
    measure: float | None
    facts: tuple[Fact, ...]
    passages: tuple[Passage, ...]
    items: tuple[Item, ...]
    kinds: tuple[str, ...] = ()  # such as "good → bad", by which the report counts and filters errors
    explanation: Mapping[str, Any] | None = None  # plain JSON: see manifest.mistakes.ExplanationRecord
    explains: Explains | None = None

    @property
    def num_characters(self) -> int:
        """The length of all texts."""
        texts = [*(passage.text for passage in self.passages), *(item.text for item in self.items)]
        return sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst errors of a split, in descending order.

    `num_wrong` of `num` units "were misclassified" (`what`); it is None if predictions are not simply right
    or wrong, as in regression. `measure` is the format of the number shown first for each error, which is a
    probability if `is_probability`.
    """

    title: str
    unit: str
    num: int
    num_wrong: int | None
    what: str
    order: str  # how the shown errors are sorted: "Sorted by confidence"
    measure: str
    shown: tuple[Mistake, ...]
    is_probability: bool = False
    kinds: Mapping[str, int] = field(default_factory=dict)  # errors by kind, the most frequent first

    def shortened(self) -> "Mistakes":
        """The same with as many errors as fit in a report: at least `ALWAYS`."""
        kept, characters = [], 0
        for number, one in enumerate(self.shown):
            characters += one.num_characters
            if number < ALWAYS or characters <= MOST_CHARACTERS:
                kept.append(one)
        return replace(self, shown=tuple(kept))


def mistake(
    example: Any,
    measure: float | None = None,
    facts: Iterable[Fact] = (),
    passages: Iterable[Passage] | None = None,
    items: Iterable[Item] = (),
    kinds: Iterable[str] = (),
) -> Mistake:
    """Create a `Mistake`; `passages` defaults to the texts of the example."""
    texts = [Passage(text) for text in example.texts] if passages is None else passages
    # Without an id column, the id is the line number, which `source` already contains.
    name = "" if example.id == str(example.origin.line) else example.id
    return Mistake(name, str(example.origin), measure, tuple(facts), tuple(texts), tuple(items), tuple(kinds))


def most_confident(
    confidence: Sequence[float | None],
    shown: Callable[[int], Mistake],
    unit: str,
    what: str,
    order: str = "Sorted by confidence",
    kinds: Sequence[Sequence[str]] | None = None,
) -> Mistakes:
    """The most confident errors. `confidence` is None for a correct prediction; `shown` takes a position.

    `kinds` has the kind of the error at each position.
    """
    return Mistakes(
        title="Most confident errors",
        unit=unit,
        num=len(confidence),
        num_wrong=sum(probability is not None for probability in confidence),
        what=what,
        order=order,
        measure="{}",
        shown=tuple(map(shown, worst(confidence, kinds))),
        is_probability=True,
        kinds=kind_counts(confidence, kinds),
    )


def worst(badness: Iterable[Any], kinds: Sequence[Sequence[str]] | None = None) -> list[int]:
    """Positions of the `MOST` highest values, earlier ones first in a tie; None means not an error.

    With the `kinds` of each error, the worst `MOST_OF_KIND` of each frequent kind are among them.
    """
    values = list(badness)
    wrong = [(value, at) for at, value in enumerate(values) if value is not None]
    chosen = [at for _, at in nlargest(MOST, wrong, key=lambda pair: pair[0])]
    if kinds is None or len(wrong) <= MOST:
        return chosen
    frequent, kept = kind_counts(values, kinds), set(chosen)
    seen: Counter[str] = Counter()
    for _, at in sorted(wrong, key=lambda pair: pair[0], reverse=True):
        own = [kind for kind in kinds[at] if kind in frequent]
        if at not in kept and any(seen[kind] < MOST_OF_KIND for kind in own):
            chosen.append(at)
        seen.update(own)
    return chosen


def kind_counts(badness: Iterable[Any], kinds: Sequence[Sequence[str]] | None) -> dict[str, int]:
    """The number of errors of each kind, for the most frequent ones."""
    if kinds is None:
        return {}
    wrong = (at for at, value in enumerate(badness) if value is not None)
    counts = Counter(kind for at in wrong for kind in dict.fromkeys(kinds[at]))
    return dict(counts.most_common(MOST_KINDS))
