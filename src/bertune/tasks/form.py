"""The input fields of a task on the page, and values that the page needs to show a prediction."""

from dataclasses import dataclass
from typing import Literal

# text: one text. words: a text, or a list of words. list: a list of texts in one value, such as choices.
# rows: several texts, each of which makes a row together with the other fields, such as documents of a query.
Kind = Literal["text", "words", "list", "rows"]


@dataclass(frozen=True)
class FormField:
    """A part of a row."""

    name: str  # the column
    kind: Kind = "text"


@dataclass(frozen=True)
class Form:
    """The fields of a row, and the constants that give predicted numbers their meaning."""

    fields: tuple[FormField, ...]
    threshold: float | None = None  # labels with at least this probability are predicted
    low: float | None = None  # range of the predicted number in the training data
    high: float | None = None
    mask: str | None = None  # what stands for a missing word
