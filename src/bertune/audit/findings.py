"""A finding of the audit: what is wrong, how often, where, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bertune.audit.source_columns import Column
from bertune.data.rows import Origin

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")  # the most serious first
MOST_ROWS = 10  # rows recorded with a finding
_MOST_CHARACTERS = 100  # per text recorded with a finding


@dataclass(frozen=True)
class FoundRow:
    """A row that a finding is about, with the place in its file."""

    place: str  # file and line, as in error messages
    text: str  # the beginning of its text
    note: str = ""  # such as the place of the row that it repeats

    def to_json(self) -> dict[str, str]:
        """The row as plain JSON."""
        return {"place": self.place, "text": self.text} | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one split or in all of them.

    An error means that the scores or the model cannot be trusted. A warning requires a decision. A note is
    for information. Findings never prevent training.
    """

    kind: str  # stable name, such as "exact_duplicates"
    level: Level
    message: str  # what is wrong, without a full stop at the end
    remedy: str  # what to do, without a full stop at the end
    count: int  # number of rows, labels or columns concerned
    total: int  # out of how many
    split: str | None = None  # None if it concerns all splits
    rows: tuple[FoundRow, ...] = ()  # the first MOST_ROWS rows
    values: Mapping[str, Any] = field(default_factory=dict)  # plain numbers, such as the share of each label

    def line(self) -> str:
        """The finding in one line."""
        return f"{self.message}. {self.remedy}" if self.remedy else self.message

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON."""
        return {
            "kind": self.kind, "level": self.level, "split": self.split, "count": self.count,
            "total": self.total, "message": self.message, "remedy": self.remedy,
            "rows": [row.to_json() for row in self.rows], "values": dict(self.values),
        }  # fmt: skip


@dataclass(frozen=True)
class AuditedSplit:
    """The data of one split that the audit uses: one value for each of its N rows."""

    texts: Sequence[tuple[str, ...]]
    gold: Sequence[Any]
    labels: Sequence[tuple[str, ...]]  # the names of the labels of each row
    origins: Sequence[Origin]
    groups: Sequence[Any] = ()  # group keys, None for a row without group; empty if there are no groups
    columns: Mapping[str, Column] = field(default_factory=dict)  # other columns of the source


def found_rows(
    split: AuditedSplit, positions: Iterable[int], notes: Mapping[int, str]
) -> tuple[FoundRow, ...]:
    """The first rows at some positions, each with its note."""
    return tuple(
        FoundRow(str(split.origins[at]), excerpt(split.texts[at]), notes.get(at, ""))
        for at, _ in zip(positions, range(MOST_ROWS), strict=False)
    )


def excerpt(texts: Sequence[str]) -> str:
    """The beginning of the texts of a row in one line."""
    line = " | ".join(" ".join(text[: 2 * _MOST_CHARACTERS].split()) for text in texts)
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"


def sorted_by_level(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes; the order within a level stays."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))
