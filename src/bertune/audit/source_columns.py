"""The other columns of a source, kept while its rows are read, to find columns that predict the label."""

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bertune.data.rows import Row
from bertune.data.tables import Table

MOST_VALUES = 200  # distinct values of a column of categories; more are IDs or texts
_MOST_COLUMNS = 50  # columns kept of a wide table

Column = NDArray[np.int64] | NDArray[np.float64]  # the numbers of categories, or numeric values


class SourceColumns:
    """Values of the columns of a table that a task does not use, in 4 to 8 bytes a row."""

    def __init__(self, table: Table, used: Collection[str | None]) -> None:
        self._names = [name for name in table.columns if name not in used][:_MOST_COLUMNS]
        self._columns: dict[str, _Values] = {}
        self.table = replace(table, rows=lambda: self._watched(table))  # the table to read the rows from

    def _watched(self, table: Table) -> Iterator[Row]:
        self._columns = {name: _Values() for name in self._names}
        for row in table.rows():
            for name, values in list(self._columns.items()):
                if not values.add(row.values.get(name)):
                    del self._columns[name]
            yield row

    def values(self, num_rows: int) -> Mapping[str, Column]:
        """The columns of categories (integers) and of numbers (floats) of the rows read so far.

        Columns of other values are left out: texts, IDs, lists and objects; and all columns if there are not
        `num_rows` rows.
        """
        found = {name: values.array() for name, values in self._columns.items()}
        return {name: values for name, values in found.items() if len(values) == num_rows}

    def categories(self, num_rows: int) -> Mapping[str, tuple[str, ...]]:
        """The values behind the numbers of the columns of categories, as text."""
        names = {
            name: tuple("(empty)" if value in (None, "") else str(value) for value in values.known)
            for name, values in self._columns.items()
        }
        kept = self.values(num_rows)
        return {name: of_column for name, of_column in names.items() if name in kept and of_column}


class _Values:
    """One column, as categories as long as there are few, and as numbers as long as all cells are."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}
        self._codes: array[int] | None = array("i")
        self._numbers: array[float] | None = array("d")

    def add(self, value: object) -> bool:
        """Add a cell; False if the column holds neither categories nor numbers."""
        if value is not None and not isinstance(value, str | int | float):
            return False
        if self._codes is not None:
            self._codes.append(self._known.setdefault(value, len(self._known)))
            if len(self._known) > MOST_VALUES:
                self._codes, self._known = None, {}
        if self._numbers is not None:
            number = _number(value)
            if number is None:
                self._numbers = None
            else:
                self._numbers.append(number)
        return self._codes is not None or self._numbers is not None

    @property
    def known(self) -> tuple[object, ...]:
        """The distinct values of a column of categories, in the order of their numbers."""
        return tuple(self._known) if self._codes is not None else ()

    def array(self) -> Column:
        if self._codes is not None:
            return np.array(self._codes, np.int64)
        return np.array(self._numbers, np.float64)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
