"""Owns what a model got most wrong, in a shape that any task can fill and a report can show."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Literal

MOST = 20

Role = Literal["", "right", "wrong", "missed"]  # wrong: predicted, and not so; missed: so, and not predicted


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said about an example, as predicted: bad."""

    name: str
    text: str
    role: Role = ""
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a text, from its first character to its last + 1."""

    start: int
    end: int
    role: Role
    label: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of an example."""

    text: str
    name: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One of several that were chosen from or put in order."""

    text: str
    role: Role = ""
    note: str = ""
    rank: int | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """An example with what went wrong; texts come as they are."""

    id: str
    source: str
    measure: float | None
    facts: tuple[Fact, ...]
    passages: tuple[Passage, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst of a split, worst first.

    `num_wrong` of `num` units "were labelled differently from the data" (`what`), or None where nothing is
    plainly wrong. `measure` names the number that leads each, a probability if `is_probability`.
    """

    title: str
    unit: str
    num: int
    num_wrong: int | None
    what: str
    order: str  # how those shown were chosen: "the surest come first"
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
    """One mistake, with the texts of its example unless told otherwise."""
    texts = [Passage(text) for text in example.texts] if passages is None else passages
    # Where a file has no ids, the number of the line stands in for one.
    name = "" if example.id == str(example.origin.line) else example.id
    return Mistake(name, str(example.origin), measure, tuple(facts), tuple(texts), tuple(items))


def worst(badness: Iterable[Any]) -> list[int]:
    """Positions of the highest, at most MOST, earlier ones first among equals; None is no mistake."""
    wrong = [(value, at) for at, value in enumerate(badness) if value is not None]
    return [at for _, at in nlargest(MOST, wrong, key=lambda pair: pair[0])]
