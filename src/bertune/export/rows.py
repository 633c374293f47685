"""Rows of a table that are stored with an export, so that they give the same examples anywhere.

They are written as JSON, one row of the source per line. Which columns hold the texts, which rows form one
example and how numbers are written is stored with them, not inferred again.
"""

import datetime
import decimal
import json
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from bertune.data.cell_values import plain
from bertune.data.columns import Columns, cell_text
from bertune.data.readers._decimals import Decimal
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table, completed
from bertune.files import to_json
from bertune.record import Record
from bertune.tasks import Task
from bertune.tasks.encoder import read_examples

Values = Mapping[str, Any]  # values of a row by column


class _StoredColumns(Record):
    text: Annotated[list[str], Field(min_length=1)]
    label: str | None
    id: str | None
    decimal: Decimal = "auto"


class _StoredRow(Record):
    """A row that is an example: where its rows in the source are."""

    file: str
    lines: Annotated[list[int], Field(min_length=1)]
    is_group: bool = False  # whether the task merged several rows of the source, such as one per word


class RowsRecord(Record):
    """The properties of rows that are not part of their stored values."""

    unit: str  # what `lines` count
    columns: _StoredColumns
    names: list[str]  # of all columns, in order
    decimal_commas: list[str]
    decimal_points: list[str] = Field(default_factory=list)
    rows: list[_StoredRow]


@dataclass(frozen=True)
class StoredRows:
    """Rows, each an example, and the columns that hold their texts and labels."""

    rows: tuple[Row, ...]
    columns: Columns
    names: tuple[str, ...]  # of all columns, in order

    @classmethod
    def of_table(cls, table: Table, columns: Columns, positions: Iterable[int]) -> "StoredRows":
        """The rows of a table at ascending positions. Their origins are file names without folders."""
        chosen = set(positions)
        rows = (row for number, row in enumerate(table.rows()) if number in chosen)
        return cls(tuple(map(_without_folder, rows)), columns, table.columns)

    @classmethod
    def of_record(cls, record: RowsRecord, values: SequenceOf[Values]) -> "StoredRows":
        """The rows again, from `record()` and `values()`. Raises ValueError if they do not fit together."""
        names = tuple(record.names)
        commas, points = frozenset(record.decimal_commas), frozenset(record.decimal_points)
        is_nested = any(isinstance(value, dict | list) for row in values for value in row.values())
        left = iter(values)
        rows = []
        for stored in record.rows:
            parts = [
                Row(
                    completed(row, names, is_nested),
                    Origin(stored.file, line, record.unit),
                    decimal_commas=commas,
                    decimal_points=points,
                )
                for line, row in zip(stored.lines, left, strict=False)
            ]
            if len(parts) < len(stored.lines):
                raise ValueError("fewer rows than expected")
            rows.append(replace(parts[0], parts=tuple(parts)) if stored.is_group else parts[0])
        if next(left, None) is not None:
            raise ValueError("more rows than expected")
        stored_columns = record.columns
        columns = Columns(
            tuple(stored_columns.text),
            stored_columns.label,
            stored_columns.id,
            decimal=stored_columns.decimal,
        )
        return cls(tuple(rows), columns, names)

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: Iterable[int]) -> "StoredRows":
        """The rows at these positions."""
        return replace(self, rows=tuple(self.rows[i] for i in positions))

    def examples(self, task: Task) -> list[Any]:
        """The examples of all rows, read together. Raises DataError."""
        table = Table(self.rows[0].origin.file, self.names, True, lambda: iter(self.rows))
        return read_examples(table, task, self.columns)

    def values(self) -> list[Values]:
        """The values of all rows of the source, as plain JSON."""
        return [
            {key: _json_value(value) for key, value in part.values.items()}
            for row in self.rows
            for part in row.parts or (row,)
        ]

    def as_read(self) -> "StoredRows":
        """The rows as they are after they were written and read again."""
        record = RowsRecord.model_validate_json(to_json(self.record().to_json()))
        return self.of_record(record, [json.loads(to_json(row, indent=None)) for row in self.values()])

    def record(self) -> RowsRecord:
        """The properties that `values` does not contain. There must be at least one row."""
        columns = self.columns
        return RowsRecord(
            unit=self.rows[0].origin.unit,
            columns=_StoredColumns(
                text=list(columns.text), label=columns.label, id=columns.id, decimal=columns.decimal
            ),
            names=list(self.names),
            decimal_commas=sorted((self.rows[0].parts or self.rows)[0].decimal_commas),
            decimal_points=sorted((self.rows[0].parts or self.rows)[0].decimal_points),
            rows=[
                _StoredRow(
                    file=row.origin.file,
                    lines=[part.origin.line for part in row.parts or (row,)],
                    is_group=bool(row.parts),
                )
                for row in self.rows
            ],
        )


def _without_folder(row: Row) -> Row:
    """The row, which does not name folders of this machine: exports are given to others."""
    origin = replace(row.origin, file=Path(row.origin.file).name)
    return replace(row, origin=origin, parts=tuple(map(_without_folder, row.parts)))


def _json_value(value: Any) -> Any:
    """A cell as plain JSON that is read as the same text, number or list."""
    value = plain(value)
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, decimal.Decimal | datetime.date | datetime.time):
        return cell_text(Row({"": value}, Origin("", 0)), "")
    return None  # such as bytes, which no task reads
