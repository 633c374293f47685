"""Tables of formatted cells, ready for the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bertune.reporting.wording import count, visible

MOST_ROWS = 200  # labels: more would slow the page down without being read


@dataclass(frozen=True)
class Cell:
    """One cell; `share` (0 to 1) draws a bar under the text."""

    text: str
    note: str = ""
    share: float | None = None
    is_users: bool = False  # user data, isolated so that its writing direction does not affect the rest
    is_header: bool = False
    tone: str = ""  # good or bad: the colour of the text


@dataclass(frozen=True)
class PageTable:
    """Headings and rows. The first `num_text` columns are text; the others are right-aligned numbers."""

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    num_text: int = 1
    marked: int | None = None  # index of the highlighted row
    has_total: bool = False  # the last row sums the others
    note: str = ""  # shown below the table if not all rows are shown

    @property
    def is_tall(self) -> bool:
        """Whether the page shows the table in a scroll area."""
        return len(self.rows) > 24


def head(text: str, note: str = "") -> Cell:
    """A row header."""
    return Cell(text, note, is_header=True)


def users(text: Any, note: str = "") -> Cell:
    """A row header that contains user text."""
    return Cell(visible(text), note, is_users=True, is_header=True)


def cut_note(shown: int, total: int, which: str, recorded: int | None = None) -> str:
    """The note below a table that shows only some labels, empty if it shows all.

    `which` completes "N of M labels"; `recorded` is the number of labels in the manifest, by default all.
    """
    if shown == total:
        return ""
    elsewhere = "all of them" if recorded in (None, total) else count(recorded)
    return f"Showing the {count(shown)} of {count(total)} labels {which}. manifest.json lists {elsewhere}."
