"""The columns that determine how rows are split: groups, times, and a column of splits or folds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bertune.config import DataConfig
from bertune.data.columns import cell_text, find_column, given_column
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table
from bertune.data.times import times_of
from bertune.errors import DataError

# Accepted spellings in the column of splits, in lower case.
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "tune"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "held-out", "heldout", "held_out"), "test"),
}
_FOLD = re.compile(r"(?:fold)?[\s_-]*(\d+)(?:\.0+)?", re.IGNORECASE)
_ROLES = ("group", "time", "split_column")


@dataclass(frozen=True)
class RowKeys:
    """The values of the columns data.group, data.time and data.split_column for the rows of a table."""

    groups: tuple[str | None, ...] = ()  # None for an empty cell; empty without data.group
    times: tuple[float, ...] = ()  # empty without data.time
    splits: tuple[str, ...] = ()  # train, validation or test; empty without such a column
    folds: tuple[int, ...] = ()  # fold numbers as in the column; empty without such a column

    def of(self, rows: Sequence[int]) -> "RowKeys":
        """The keys of some of the rows, given by position."""

        def chosen(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[row] for row in rows) if values else ()

        return RowKeys(*map(chosen, (self.groups, self.times, self.splits, self.folds)))


@dataclass(frozen=True)
class KeyCells:
    """Collects the cells of the columns while the rows of a table are read."""

    names: Mapping[str, str]  # column by role
    cells: Mapping[str, list[str]] = field(default_factory=dict)  # by role
    origins: list[Origin] = field(default_factory=list)

    def recording(self, table: Table) -> Table:
        """The table, whose rows are recorded as they are read."""
        if not self.names:
            return table

        def rows() -> Iterator[Row]:
            for row in table.rows():
                self._record(row)
                yield row

        return replace(table, rows=rows)

    def _record(self, row: Row) -> None:
        self.origins.append(row.origin)
        for role, column in self.names.items():
            first, *others = row.parts or (row,)
            cell = cell_text(first, column)
            for part in others:
                if cell_text(part, column) != cell:
                    raise DataError(
                        f'{part.origin}: "{cell_text(part, column)[:60]}" in column "{column}" (data.{role}) '
                        f'differs from "{cell[:60]}" in {first.origin}, but both rows belong to the same '
                        "text. Expected the same value for all rows of a text"
                    )
            self.cells[role].append(cell)

    def keys(self) -> RowKeys:
        """The keys of the recorded rows. Raises DataError for a cell that cannot be read."""
        groups = tuple(cell.strip() or None for cell in self.cells.get("group", ()))
        times = self.cells.get("time")
        read = () if times is None else tuple(times_of(times, self.origins, self.names["time"]))
        cells = self.cells.get("split_column", [])
        folds = [_FOLD.fullmatch(cell.strip()) for cell in cells]
        if cells and all(folds):
            return RowKeys(groups, read, (), tuple(int(match[1]) for match in folds if match))
        return RowKeys(groups, read, self._splits(cells))

    def _splits(self, cells: Sequence[str]) -> tuple[str, ...]:
        found = [_SPLITS.get(cell.strip().casefold()) for cell in cells]
        for cell, split, origin in zip(cells, found, self.origins, strict=False):
            if split is None:
                raise DataError(
                    f'{origin}: "{cell[:60]}" in column "{self.names["split_column"]}" (data.split_column) '
                    "is not the name of a split. Expected train, validation (or valid, val, dev) or test in "
                    "every row, or fold numbers in all of them. Correct the cell or remove the row"
                )
        return tuple(split for split in found if split is not None)


def key_cells(table: Table, options: DataConfig, split: str) -> tuple[KeyCells, list[str]]:
    """The collector for a table, and notes. Raises DataError if a column of the training table is missing.

    Validation and test tables are not split; for them, only groups are read, and their column may be missing.
    """
    source = table.ungrouped or table
    names: dict[str, str] = {}
    notes = []
    for role in _ROLES:
        name = getattr(options, role)
        if name is None or (split != "train" and role != "group"):
            continue
        if split != "train" and find_column(source, name) is None:
            notes.append(f'{table.name}: there is no column "{name}" (data.group); each row is a group')
            continue
        names[role] = given_column(source, f"data.{role}", name)
    return KeyCells(names, {role: [] for role in names}), notes
