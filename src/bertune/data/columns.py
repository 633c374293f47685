"""Owns which column is the text, the label and the id, and what a cell is as text."""

import datetime
import decimal
import math
from collections.abc import Sequence
from dataclasses import dataclass

from bertune.config import DataConfig
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.errors import DataError, did_you_mean, listed

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ColumnNames:
    """The columns that a task takes without asking."""

    text: tuple[tuple[str, ...], ...]  # columns with these names go together
    label: tuple[str, ...] = ()
    num_texts: tuple[int, ...] = (1, 2)  # how many text columns the task can do with


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter; two texts for pairs."""

    text: tuple[str, ...]
    label: str | None
    id: str | None
    has_gold: bool = True  # False where rows are predicted: what they say of the answer is not read


def choose_columns(
    table: Table, options: DataConfig, text_names: Groups, label_names: tuple[str, ...], need_label: bool
) -> tuple[Columns, tuple[str, ...]]:
    """The columns as given in the options, else by plain names, and a note on each one inferred.

    `text_names` are groups of columns that go together. Raises DataError, with the columns and the
    override that settles it, for a name that is not there and where no choice or several are plain.
    Without `need_label` a label column may be missing.
    """
    id_column = _given(table, "data.id", options.id) if options.id is not None else None
    label = None
    if options.label is not None and (need_label or _find(table, options.label)):
        label = _given(table, "data.label", options.label)
    notes = []
    if options.text is not None:
        text = tuple(_given(table, "data.text", name) for name in options.text)
        _refuse_double_use(table, (*text, label) if label else text)
    elif table.text is not None:
        text = table.text
    else:
        text = _guessed_text(table, text_names, (label, id_column), need_label)
        notes.append(f"{table.name}: text is {' and '.join(_quoted(text))}")
    if options.label is None and table.label is not None:
        label = table.label
    elif options.label is None:
        label = _guessed_label(table, label_names, (*text, id_column), need_label)
        if label is not None:
            notes.append(f'{table.name}: label is "{label}"')
    return Columns(text, label, id_column), tuple(notes)


def name_of(row: Row, columns: Columns) -> str:
    """What a row is called: its cell of the id column, else its line."""
    return cell_text(row, columns.id) if columns.id is not None else str(row.origin.line)


def number_in(cell: str) -> float | None:
    """The number a cell's text stands for, or None where it stands for none, or none that is finite."""
    try:
        number = math.nan if "_" in cell else float(cell)  # Python alone reads 1_000 as a number
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def cell_text(row: Row, column: str) -> str:
    """A cell as text: whole numbers without a fraction, true and false, nothing for a missing value.

    Raises DataError with the row's origin for lists, objects and text that is no Unicode.
    """
    try:
        value = row.values[column]
    except KeyError:
        there = list(row.values)
        raise DataError(
            f'{row.origin}: there is no column "{column}".{did_you_mean(column, there)}'
            f" There are {listed(there)}"
        ) from None
    if isinstance(value, str):
        refuse_half_characters(row, column, value)
        return value
    return _scalar_text(row, column, value)


def read_texts(row: Row, columns: Columns) -> tuple[str, ...]:
    """The texts of a row. Raises DataError for one that is empty."""
    texts = tuple(cell_text(row, column) for column in columns.text)
    for column, text in zip(columns.text, texts, strict=True):
        if not text.strip():
            raise DataError(
                f'{row.origin}: the text in column "{column}" is empty. Remove the row, or give another '
                "data.text"
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
        # pandas turns whole numbers with gaps into floats
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, decimal.Decimal):
        return "" if value.is_nan() else f"{value.normalize():f}"
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    kind = type(value).__name__
    raise DataError(
        f'{row.origin}: column "{column}" holds a {kind}, not a text: {_shown(value)};'
        " choose another column, as in data.text=review, or write it as text"
    )


def refuse_half_characters(row: Row, column: str, value: str) -> None:
    """Raises DataError for half a surrogate pair, from a JSON escape or wrong bytes on standard input.

    It has no tokens and cannot be written as UTF-8.
    """
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f'{row.origin}: column "{column}" has half a character ({value[error.start]!r}) at place'
            f" {error.start}; the text was cut or decoded wrongly, so write it again as UTF-8"
        ) from error


def _find(table: Table, name: str) -> str | None:
    """The column of a name, exact or else in any case, or of a number counted from 0."""
    wanted = name.strip()
    if wanted in table.columns:
        return wanted
    folded = [column for column in table.columns if column.strip().casefold() == wanted.casefold()]
    if len(folded) == 1:
        return folded[0]
    if wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(table.columns):
        return table.columns[int(wanted)]
    return None


def _given(table: Table, key: str, name: str) -> str:
    column = _find(table, name)
    if column is not None:
        return column
    first = next(table.rows())
    known = list(table.columns)
    if not table.has_header:  # what was meant may stand in a line that was not taken for a header
        known += [str(value) for value in first.values.values()]
    numbers = f"numbers go from 0 to {len(table.columns) - 1}. " if name.isdecimal() else ""
    if key == "data.label" and "," in name and all(_find(table, part) for part in name.split(",")):
        numbers = f"For a column of 0 and 1 to each label say task.name=multilabel task.columns={name}. "
    raise DataError(
        f'{table.name}: there is no column "{name}" ({key}={name}).{did_you_mean(name, known)}'
        f" {numbers}{_seen(table, first)}"
    )


def _refuse_double_use(table: Table, used: Sequence[str]) -> None:
    for number, column in enumerate(used):
        if column in used[:number]:
            raise DataError(
                f'{table.name}: column "{column}" is named twice in data.text and data.label;'
                f" each needs its own. {_seen(table, next(table.rows()))}"
            )


def _guessed_text(
    table: Table, groups: Groups, taken: Sequence[str | None], need_label: bool
) -> tuple[str, ...]:
    complete: dict[tuple[str, ...], None] = {}  # a set that keeps its order
    for group in groups:
        columns = _named(table, group, taken)
        if len(columns) == len(group):
            complete[tuple(columns)] = None
    best = [group for group in complete if not any(set(group) < set(other) for other in complete)]
    if len(best) == 1:
        return best[0]
    several = "; ".join(" and ".join(_quoted(group)) for group in best)
    problem = f"several columns could be the text: {several}" if best else "no column is plainly the text"
    first = next(table.rows())
    # The longest cell is the text more often than not; the label mostly stands last.
    text = max(table.columns, key=lambda column: len(str(first.values[column])))
    others = [column for column in table.columns if column not in (text, *taken)]
    label = f" data.label={others[-1]}" if need_label and others else ""
    remedy = f"Say which to use, for instance: data.text={text}{label}"
    if not table.has_header and len(table.columns) == 1:
        remedy = (
            "Of plain text say data.text=0 for a text on each line, or data.reader=documents for documents "
            "with blank lines between; of words with a tag each, data.reader=conll"
        )
    raise DataError(f"{table.name}: {problem}. {_seen(table, first)}\n{remedy}")


def _guessed_label(
    table: Table, names: Sequence[str], taken: Sequence[str | None], need_label: bool
) -> str | None:
    labels = list(dict.fromkeys(_named(table, names, taken)))
    if len(labels) == 1:
        return labels[0]
    if not need_label:
        return None
    several = f"several columns could be the label: {', '.join(_quoted(labels))}"
    problem = several if labels else "no column is plainly the label"
    others = labels or [column for column in table.columns if column not in taken]
    remedy = (
        f"Say which to use, for instance: data.label={others[-1]}"
        if others
        else "Give a file with labels, or from Python a list of labels beside the texts"
    )
    raise DataError(f"{table.name}: {problem}. {_seen(table, next(table.rows()))}\n{remedy}")


def _named(table: Table, names: Sequence[str], taken: Sequence[str | None]) -> list[str]:
    """Those of the columns with these names, in their order, that are not taken."""
    found = [_find(table, name) for name in names if not name.isdecimal()]
    return [column for column in found if column is not None and column not in taken]


def _seen(table: Table, first: Row) -> str:
    """The columns of a table with what the first row has in them."""
    values = list(first.values.items())
    lines = [f"\n  {column} = {_shown(value)}" for column, value in values[:12]]
    if len(values) > 12:
        lines.append(f"\n  … ({len(values)} in all)")
    cells = [str(value).strip() for _, value in values]
    doubt = ""
    if not table.has_header and _could_be_names(cells):
        doubt = (
            f"\nIf these are the names of the columns, use them: data.text={cells[0]} data.label={cells[-1]}"
        )
    return f"Columns, and what the first row has in them:{''.join(lines)}{doubt}"


def _could_be_names(cells: list[str]) -> bool:
    return 1 < len(cells) == len(set(cells)) and all(0 < len(c) <= 30 and not c.isnumeric() for c in cells)


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:60]}…"
