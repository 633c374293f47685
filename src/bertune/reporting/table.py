"""Owns the table: cells that are already worded, ready for the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bertune.reporting.wording import count, visible

MOST_ROWS = 200  # of labels: more make the page slow, and nobody reads them


@dataclass(frozen=True)
class Cell:
    """One cell; `share` (0 to 1) draws a bar under the text."""

    text: str
    note: str = ""
    share: float | None = None
    is_users: bool = False  # from the user's data: isolated, so that its writing direction stays inside
    is_header: bool = False


@dataclass(frozen=True)
class PageTable:
    """Rows under headings; the first `num_text` columns are words, the others right-aligned numbers."""

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    num_text: int = 1
    marked: int | None = None  # the row to stand out
    has_total: bool = False  # the last row sums the others
    note: str = ""  # below it: which rows these are, where they are not all

    @property
    def is_tall(self) -> bool:
        """Whether the page gives it a scroll area of its own."""
        return len(self.rows) > 24


def head(text: str, note: str = "") -> Cell:
    """The cell that names a row."""
    return Cell(text, note, is_header=True)


def users(text: Any, note: str = "") -> Cell:
    """The cell that names a row in the user's own words."""
    return Cell(visible(text), note, is_users=True, is_header=True)


def cut_note(shown: int, total: int, which: str, recorded: int | None = None) -> str:
    """Which labels a table has, where not all; `recorded` is how many the manifest has, by default all."""
    if shown == total:
        return ""
    elsewhere = "all of them" if recorded in (None, total) else count(recorded)
    return f"These are the {count(shown)} of {count(total)} labels {which}. manifest.json has {elsewhere}."
