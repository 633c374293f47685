"""Selects the text, label and ID columns of a table, and converts cells to text."""

import datetime
import decimal
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from bertune.config import DataConfig
from bertune.data.readers._decimals import Decimal, first_pointed, with_point
from bertune.data.readers._objects import json_kind
from bertune.data.rows import Row
from bertune.data.tables import SAMPLE_ROWS, Table
from bertune.errors import DataError, counted, did_you_mean, listed

_FLAG_ROWS = 20  # rows in which columns of 0 and 1 are detected


@dataclass(frozen=True)
class ColumnNames:
    """The column names that a task recognises without a setting."""

    text: tuple[tuple[str, ...], ...]  # groups of columns that are used together
    label: tuple[str, ...] = ()
    num_texts: tuple[int, ...] = (1, 2)  # the numbers of text columns that the task supports


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are used; pairs of texts have two text columns."""

    text: tuple[str, ...]
    label: str | None
    id: str | None
    has_gold: bool = True  # False in prediction: gold labels in the rows are not read
    decimal: Decimal = "auto"  # the decimal mark of numbers that are written as text


def choose_columns(
    table: Table, options: DataConfig, names: ColumnNames, need_label: bool, other_task: str = ""
) -> tuple[Columns, tuple[str, ...]]:
    """The columns set in the options, or inferred from their names, with a note on each inferred column.

    Without `need_label` the label column may be missing. Raises DataError, with the columns of the table and
    the setting to use, for a name that does not exist, and if no column or several columns could be meant. If
    the names belong to another task, `other_task` says which, and replaces the suggested columns.
    """
    id_column = given_column(table, "data.id", options.id) if options.id is not None else None
    label = None
    if options.label is not None and (need_label or find_column(table, options.label)):
        label = given_column(table, "data.label", options.label)
    notes = []
    if options.text is not None:
        text = tuple(given_column(table, "data.text", name) for name in options.text)
        _refuse_double_use(table, (*text, label) if label else text)
    elif table.text is not None:
        text = table.text
    else:
        text = _guessed_text(table, names, (label, id_column), need_label, other_task)
        columns = "text column" if len(text) == 1 else "text columns"
        notes.append(f"{table.name}: {columns}: {', '.join(_quoted(text))}")
    if options.label is None and table.label is not None:
        label = table.label
    elif options.label is None:
        label = _guessed_label(table, names.label, (*text, id_column), need_label, other_task)
        if label is not None:
            notes.append(f'{table.name}: label column: "{label}"')
    return Columns(text, label, id_column, decimal=options.decimal), tuple(notes)


def name_of(row: Row, columns: Columns) -> str:
    """The ID of a row: its cell in the ID column, or else its line number."""
    return cell_text(row, columns.id) if columns.id is not None else str(row.origin.line)


def number_in(cell: str) -> float | None:
    """The number in the text of a cell; None if it is not a finite number."""
    try:
        number = math.nan if "_" in cell else float(cell)  # float accepts 1_000, which is Python syntax
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def cell_number(row: Row, column: str, decimal: Decimal = "auto") -> float | None:
    """The number in a cell; None if it is not a finite number.

    In texts, decimal commas and thousands separators are read unless they are ambiguous: 1,234 may mean
    1.234. `decimal` is the decimal mark; if it is "auto", that of the other numbers in the column. Raises
    DataError with the row's origin for a number that is ambiguous or differs from the others.
    """
    cell = cell_text(row, column).strip()
    if not isinstance(row.values[column], str):
        return number_in(cell)
    if decimal == "auto" and column in row.decimal_commas:
        decimal = "comma"
    elif decimal == "auto" and column in row.decimal_points:
        decimal = "point"
    try:
        return number_in(with_point(cell, decimal))
    except ValueError as reason:
        raise DataError(f'{row.origin}: "{cell[:60]}" in column "{column}" {reason}') from None


def pointed_numbers_warning(table: Table, columns: Columns) -> str:
    """A warning if the numbers in the label column may use points as thousands separators; else empty.

    In a file with semicolons, or with decimal commas in another column, 1.234 usually means 1234. It is read
    as 1.234 unless a number of the column shows the decimal mark.
    """
    column = columns.label
    if column is None or columns.decimal != "auto":
        return ""
    rows = list(islice(table.rows(), SAMPLE_ROWS))
    if not any(table.delimiter == ";" or row.decimal_commas for row in rows[:1]):
        return ""
    number = first_pointed(row.values.get(column) for row in rows)
    if number is None:
        return ""
    return (
        f'{table.name}: in column "{column}", {number} is read as a number with decimals, but in a file with '
        "semicolons or decimal commas the point may separate thousands. Set data.decimal=comma to read it as "
        f"{number.replace('.', '')}, or data.decimal=point to confirm {number}"
    )


def missing_hint(row: Row, column: str) -> str:
    """`' Did you mean "x"?'` with a similar key of a row that has no value in a column; else empty."""
    others = [key for key, value in row.values.items() if value is not None]
    return did_you_mean(column, others) if row.values.get(column) is None else ""


def cell_text(row: Row, column: str) -> str:
    """A cell as text. Integral floats have no fraction, booleans are true or false, missing values are empty.

    Raises DataError with the row's origin for a missing column, for lists and objects, and for text with an
    unpaired surrogate.
    """
    try:
        value = row.values[column]
    except KeyError:
        known = list(row.values)
        raise DataError(
            f'{row.origin}: there is no column "{column}".{did_you_mean(column, known)}'
            f" Available columns: {listed(known)}"
        ) from None
    if isinstance(value, str):
        refuse_half_characters(row, column, value)
        return value
    return _scalar_text(row, column, value)


def read_texts(row: Row, columns: Columns) -> tuple[str, ...]:
    """The texts of a row, one per text column. Raises DataError for an empty one."""
    texts = tuple(cell_text(row, column) for column in columns.text)
    for column, text in zip(columns.text, texts, strict=True):
        if not text.strip():
            raise DataError(
                f'{row.origin}: the text in column "{column}" is empty.{missing_hint(row, column)} Remove '
                "the row, or set data.text to another column"
            )
    return texts


def _scalar_text(row: Row, column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        # pandas converts integer columns with missing values to floats
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, decimal.Decimal):
        return "" if value.is_nan() else f"{value.normalize():f}"
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    raise DataError(
        f'{row.origin}: column "{column}" contains {json_kind(value)} instead of text: {_shown(value)}.'
        " Choose another column, as in data.text=review, or write the value as text"
    )


def refuse_half_characters(row: Row, column: str, value: str) -> None:
    """Raises DataError for an unpaired surrogate, which comes from a JSON escape or from invalid bytes.

    It has no token and cannot be encoded as UTF-8.
    """
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f'{row.origin}: column "{column}" contains half a character, the unpaired surrogate'
            f" {value[error.start]!r}, at position {error.start} (counted from 0). The text was truncated or"
            " decoded incorrectly. Write it again as UTF-8"
        ) from error


def find_column(table: Table, name: str) -> str | None:
    """Look up a column by exact name, case-insensitive name, number (from 0) or dotted path, in that order.

    None if there is no such column, or if several differ only in case.
    """
    name = name.strip()
    if name in table.columns:
        return name
    folded = [column for column in table.columns if column.strip().casefold() == name.casefold()]
    if len(folded) == 1:
        return folded[0]
    if name.isdecimal() and len(name) < 10 and int(name) < len(table.columns):
        return table.columns[int(name)]
    if name in table.nested:
        return name
    folded = [path for path in table.nested if path.casefold() == name.casefold()]
    return folded[0] if len(folded) == 1 else None


def given_column(table: Table, key: str, name: str) -> str:
    """The column that a setting names. Raises DataError with the columns of the table if there is none."""
    column = find_column(table, name)
    if column is not None:
        return column
    first = next(table.rows())
    known = [*table.columns, *table.nested]
    if not table.has_header:  # the first line may be a header that was not recognized
        known += [str(value) for value in first.values.values()]
    hint = f"Column numbers range from 0 to {len(table.columns) - 1}. " if name.isdecimal() else ""
    if key == "data.label" and "," in name and all(find_column(table, part) for part in name.split(",")):
        hint = f"If each label has its own column of 0 and 1, set task.name=multilabel task.columns={name}. "
    advice = f" {hint}".rstrip() or did_you_mean(name, known) or f" Set {key} to one of its columns."
    raise DataError(
        f'{table.name}: there is no column "{name}" ({key}={name}).{advice} {_seen(table, first)}'
    )


def _refuse_double_use(table: Table, used: Sequence[str]) -> None:
    for number, column in enumerate(used):
        if column in used[:number]:
            raise DataError(
                f'{table.name}: column "{column}" is used twice in data.text and data.label.'
                f" Use each column once. {_seen(table, next(table.rows()))}"
            )


def _guessed_text(
    table: Table, names: ColumnNames, used: Sequence[str | None], need_label: bool, other_task: str
) -> tuple[str, ...]:
    complete: dict[tuple[str, ...], None] = {}  # an ordered set
    for group in names.text:
        columns = _named(table, group, used)
        if len(columns) == len(group):
            complete[tuple(columns)] = None
    best = [group for group in complete if not any(set(group) < set(other) for other in complete)]
    if len(best) == 1:
        return best[0]
    several = "; ".join(" and ".join(_quoted(group)) for group in best)
    num_texts = min(names.num_texts)
    wanted = "the text column" if num_texts == 1 else f"the {num_texts} text columns"
    problem = f"several columns could be the text: {several}" if best else f"could not identify {wanted}"
    first = next(table.rows())
    named = _named(table, names.label, used) if need_label else []
    # A label column that is set or known by its name needs no suggestion.
    is_open = need_label and not named and used[0] is None
    most = max(names.num_texts) if len(names.num_texts) > 2 else num_texts
    remedy = _suggestion(table, first, (num_texts, most), [*used, *named], is_open)
    if other_task and not best:
        raise DataError(f"{table.name}: {problem}. {_seen(table, first, hints=False)}\n{other_task}")
    if not table.has_header and len(table.columns) == 1 == num_texts:
        remedy = _single_column(table)
    raise DataError(f"{table.name}: {problem}. {_seen(table, first, num_texts, need_label)}\n{remedy}")


def _single_column(table: Table) -> str:
    """What to do about a table with one column and no header."""
    if table.name.casefold().endswith((".xlsx", ".xlsm")):
        return "Set data.sheet to another sheet, or data.text=0 if each row is a text"
    return (
        "For a table, set its delimiter, as in data.delimiter=semicolon. For plain text, set data.text=0 "
        "(one text per line) or data.reader=documents (documents separated by blank lines). For tagged "
        "words, set data.reader=conll"
    )


def _suggestion(
    table: Table, first: Row, numbers: tuple[int, int], used: Sequence[str | None], need_label: bool
) -> str:
    """An example of settings: the longest cells are usually the texts, and the last other one the label.

    `numbers` are the least and the most text columns; a question has as many as there are choices.
    """
    num_texts, most = numbers
    free = [column for column in _plain_columns(table, first) if column not in used]
    if len(free) < num_texts:
        besides = " besides the label" if len(free) < len(_plain_columns(table, first)) else ""
        return (
            f"The task takes {counted(num_texts, 'text column')}, and the table has "
            f"{counted(len(free), 'column')}{besides}. Use another table or task"
        )
    num_texts = min(most, max(num_texts, len(free) - need_label))
    longest = sorted(free, key=lambda column: -len(str(first.values.get(column))))[:num_texts]
    text = ",".join(column for column in free if column in longest)
    others = [column for column in free if column not in longest]
    label = f" data.label={others[-1]}" if need_label and others else ""
    return f"Set the columns to use, for example: data.text={text}{label}"


def _plain_columns(table: Table, first: Row) -> list[str]:
    """The columns of a table, with the paths inside those that hold objects in the first row instead of them.

    All columns if every value is an object or a list.
    """
    paths = [path for path in table.nested if not isinstance(first.values.get(path), dict | list)]
    objects = [column for column in table.columns if isinstance(first.values[column], dict)]
    inside = [path for path in paths if any(path.startswith(f"{column}.") for column in objects)]
    plain = [column for column in table.columns if column not in objects]
    return [*plain, *inside] or list(table.columns)


def _guessed_label(
    table: Table, names: Sequence[str], used: Sequence[str | None], need_label: bool, other_task: str
) -> str | None:
    found = list(dict.fromkeys(_named(table, names, used)))
    # A value inside another label, such as answers.text in answers, is part of it.
    labels = [name for name in found if not any(name.startswith(f"{other}.") for other in found)]
    if len(labels) == 1:
        return labels[0]
    if not need_label:
        return None
    several = f"several columns could be the label: {', '.join(_quoted(labels))}"
    problem = several if labels else "could not identify the label column"
    others = labels or [column for column in table.columns if column not in used]
    if other_task and not labels:
        first = next(table.rows())
        raise DataError(f"{table.name}: {problem}. {_seen(table, first, hints=False)}\n{other_task}")
    rows = list(islice(table.rows(), _FLAG_ROWS))
    flags = [] if labels else _flag_columns(rows, others)
    if len(flags) > 1:
        remedy = (
            f"If each label has its own column of 0 and 1, set task.name=multilabel task.columns="
            f"{','.join(flags)}. If one of them is the label, set it, as in data.label={flags[-1]}"
        )
    elif others:
        remedy = f"Set the column to use, for example: data.label={others[-1]}"
    else:
        remedy = "Use a file with labels, or in Python pass a list of labels together with the texts"
    raise DataError(f"{table.name}: {problem}. {_seen(table, rows[0])}\n{remedy}")


def _flag_columns(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """The columns that hold only 0 and 1, or true and false, in these rows."""
    flags = {"0", "1", "0.0", "1.0", "true", "false"}
    return [
        column for column in columns if all(str(row.values.get(column)).casefold() in flags for row in rows)
    ]


def _named(table: Table, names: Sequence[str], used: Sequence[str | None]) -> list[str]:
    """The columns with these names, in this order, without those already used."""
    found = [find_column(table, name) for name in names if not name.isdecimal()]
    return [column for column in found if column is not None and column not in used]


def _seen(table: Table, first: Row, num_texts: int = 1, need_label: bool = True, hints: bool = True) -> str:
    """The columns of a table with the values of the first row, for an error message."""
    values = list(first.values.items())
    lines = [f"\n  {column} = {_shown(value)}" for column, value in values[:12]]
    if len(values) > 12:
        lines.append(f"\n  … ({len(values)} in total)")
    cells = [str(value).strip() for _, value in values]
    hint = ""
    if hints and not table.has_header and len(cells) >= num_texts and _could_be_names(cells):
        label = f" data.label={cells[-1]}" if need_label and len(cells) > num_texts else ""
        text = ",".join(cells[:num_texts])
        hint = f"\nIf these values are column names, use them: data.text={text}{label}"
    how = table.notes[0].removeprefix(f"{table.name}: ") if table.notes else ""
    read = f"\nThe file was read as: {how}" if how else ""
    return f"Columns, with the values of the first row:{''.join(lines)}{read}{hint}"


def _could_be_names(cells: list[str]) -> bool:
    return 1 < len(cells) == len(set(cells)) and all(0 < len(c) <= 30 and not c.isnumeric() for c in cells)


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:60]}…"
