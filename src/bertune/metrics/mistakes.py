"""Data classes for error analysis, which every task can fill and the report renders."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Literal

MOST = 20  # number of errors in a report

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
class Item:
    """One of several choices, or an entry of a ranking."""

    text: str
    role: Role = ""
    note: str = ""
    rank: int | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrongly predicted example; texts are complete and not escaped."""

    id: str
    source: str
    measure: float | None
    facts: tuple[Fact, ...]
    passages: tuple[Passage, ...]
    items: tuple[Item, ...]


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


def mistake(
    example: Any,
    measure: float | None = None,
    facts: Iterable[Fact] = (),
    passages: Iterable[Passage] | None = None,
    items: Iterable[Item] = (),
) -> Mistake:
    """Create a `Mistake`; `passages` defaults to the texts of the example."""
    texts = [Passage(text) for text in example.texts] if passages is None else passages
    # Without an id column, the id is the line number, which `source` already contains.
    name = "" if example.id == str(example.origin.line) else example.id
    return Mistake(name, str(example.origin), measure, tuple(facts), tuple(texts), tuple(items))


def most_confident(
    confidence: Sequence[float | None],
    shown: Callable[[int], Mistake],
    unit: str,
    what: str,
    order: str = "Sorted by confidence",
) -> Mistakes:
    """The most confident errors. `confidence` is None for a correct prediction; `shown` takes a position."""
    return Mistakes(
        title="Most confident errors",
        unit=unit,
        num=len(confidence),
        num_wrong=sum(probability is not None for probability in confidence),
        what=what,
        order=order,
        measure="{}",
        shown=tuple(map(shown, worst(confidence))),
        is_probability=True,
    )


def worst(badness: Iterable[Any]) -> list[int]:
    """Positions of the MOST highest values, earlier ones first in a tie; None means not an error."""
    wrong = [(value, at) for at, value in enumerate(badness) if value is not None]
    return [at for _, at in nlargest(MOST, wrong, key=lambda pair: pair[0])]
