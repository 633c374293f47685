"""Owns the row: one record of a source together with where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row was read; `str()` of it is how every error names the place."""

    file: str  # as the user wrote it; "<memory>" for tables given from Python
    line: int  # first physical line of the row, from 1; the row's number where a format has no lines
    unit: str = "line"  # what is counted: "question" of a nested file, say

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One record. Values are what the format holds: text, numbers, booleans, lists, None."""

    values: Mapping[str, Any]
    origin: Origin
