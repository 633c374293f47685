"""Open the input of a trained model, to predict or evaluate, as a table with its columns."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from bertune.config import DataConfig
from bertune.data.cell_values import is_missing
from bertune.data.columns import Columns, choose_columns
from bertune.data.formats import reading_like
from bertune.data.memory import MEMORY, table_from_memory, table_of
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table, open_lines, open_table, refuse_long_name
from bertune.errors import DataError, did_you_mean
from bertune.metadata import ModelMetadata
from bertune.tasks import Task
from bertune.tasks.encoder import known_column_names, refuse_predicted_labels

_HEAD = 200  # first rows of a file that are checked before prediction


@dataclass(frozen=True)
class Opened:
    """A table, its text and label columns, and notes on what was inferred."""

    table: Table
    columns: Columns
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """Reads the input of a trained model in the format of its training file, unless settings override it."""

    task: Task
    metadata: ModelMetadata
    data: DataConfig

    @property
    def line_columns(self) -> tuple[str, ...]:
        """The column names for plain lines of text: those of training, unless they are numbers."""
        return _plain_columns(1) if self.task.predicts_single_texts else self._item_columns

    @cached_property
    def _columns_of_texts(self) -> Columns:
        """The columns of a list in which every item is a text, or a tuple of texts."""
        return Columns(self.line_columns, None, None)

    @property
    def _item_columns(self) -> tuple[str, ...]:
        names = self.metadata.columns.text
        return _plain_columns(len(names)) if any(name.isdecimal() for name in names) else names

    def open(self, source: object, need_label: bool) -> Opened:
        """Open a table and select its columns: those of the training file if it has them, otherwise inferred.

        `source` is a path, a named data set, an open text file (read once), a Table, a table of another
        library, or (texts, labels). For a named data set, the test file is used, or the validation file if
        there is no test file. Raises DataError.
        """
        if isinstance(source, str | Path):
            file, data, notes = self._located(str(source))
            trained = self.metadata
            table = open_table(
                file,
                data,
                known_column_names(self.task, trained.columns),
                like=str(trained.reading.get("suffix", "")),
                likely_header=not any(name.isdecimal() for name in trained.columns.text),
            )
        else:
            data, notes = self.data, ()
            table = self._table(source)
        table = self._grouped(table, data)
        if table.ungrouped is not None:
            data = data.model_copy(update={"text": table.text})
        columns, more = self._columns(table, need_label, data)
        if need_label and data.label is None and columns.label is not None:
            refuse_predicted_labels(table, self.task, columns.label)
        if not need_label and isinstance(source, str | Path) and table.ungrouped is None:
            self.task.refuse_misread(self._first_examples(table, columns))
        return Opened(table, columns, (*notes, *more))

    def _first_examples(self, table: Table, columns: Columns) -> list[Any]:
        """The examples in the first rows of a file to predict, without gold labels. Skips invalid rows."""
        found, without_gold = [], replace(columns, label=None, has_gold=False)
        for row in islice(table.rows(), _HEAD):
            with contextlib.suppress(DataError):
                if not self.task.is_blank(row, without_gold):
                    found.append(self.task.parse(row, without_gold))
        return found

    def _grouped(self, table: Table, data: DataConfig) -> Table:
        """The table with its rows grouped by the task, by the columns from the settings or from training."""
        trained = self.metadata.columns
        text = data.text or (trained.text if set(trained.text) <= set(table.columns) else None)
        label = data.label or (trained.label if trained.label in table.columns else None)
        return self.task.grouped(table, text, label, required=False)

    def _table(self, source: Any) -> Table:
        if hasattr(source, "readline"):
            name = getattr(source, "name", None)  # an int if the file was opened by its descriptor
            known = known_column_names(self.task, self.metadata.columns)
            return open_lines(source, name if isinstance(name, str) else "<stdin>", self.line_columns, known)
        return source if isinstance(source, Table) else table_of(source)

    def of_texts(self, items: Iterable[Any]) -> Opened | None:
        """A list of texts, or of tuples of texts if the model takes several, as a table; None if it is empty.

        Tasks that tag words also accept a list of words as a text. None and NaN are rows without text. Raises
        DataError for anything else.
        """
        items = list(items)
        if not items:
            return None
        columns = self._columns_of_texts
        if len(columns.text) == 1 and all(type(item) is str for item in items):
            [name] = columns.text
            return Opened(_table_of_rows([{name: item} for item in items], columns), columns)
        first = next((item for item in items if not is_missing(item)), None)
        is_single = self.task.predicts_single_texts and isinstance(first, str)
        columns = Columns(_plain_columns(1) if is_single else self._item_columns, None, None)
        rows = [
            dict(zip(columns.text, self._cells(number, item, columns), strict=True))
            for number, item in enumerate(items)
        ]
        return Opened(_table_of_texts(rows, columns), columns)

    def _cells(self, number: int, item: Any, columns: Columns) -> tuple[Any, ...]:
        """The values of a list item for each text column. Raises DataError."""
        if isinstance(item, str) and len(columns.text) == 1:
            return (item,)
        value = item.tolist() if hasattr(item, "tolist") else item
        if is_missing(value):
            return (None,) * len(columns.text)
        if len(columns.text) == 1 and isinstance(value, list | tuple) and self._takes(list(value), columns):
            return (list(value),)
        parts = tuple(value) if isinstance(value, list | tuple) else (value,)
        parts = tuple(None if is_missing(part) else part for part in parts)
        is_text = all(part is None or isinstance(part, str | list | tuple) for part in parts)
        if len(parts) != len(columns.text) or not is_text:
            expected = {1: "a text", 2: "a pair of texts"}.get(
                len(columns.text), f"a tuple of {len(columns.text)} texts: {', '.join(columns.text)}"
            )
            words = " or a list of words" if self._takes(["a", "word"], columns) else ""
            raise DataError(f"item {number} of the list is {item!r}; this model takes {expected}{words}")
        return parts

    def _takes(self, words: list[Any], columns: Columns) -> bool:
        """Whether the task accepts a list of words as a text."""
        if len(columns.text) > 1:
            return False
        try:
            self.task.is_blank(Row({columns.text[0]: words}, Origin(MEMORY, 1)), columns)
        except DataError:
            return False
        return True

    def _located(self, source: str) -> tuple[str, DataConfig, tuple[str, ...]]:
        """The file to read, the settings to read it with, and notes."""
        from bertune.data import named  # only for files: texts and streams are predicted sooner

        path = Path(source)
        if source in named.names():
            return _named_file(source, self.data)
        refuse_long_name(path)
        near = did_you_mean(source, named.names())
        if near and not path.suffix and not path.exists():
            raise DataError(f'"{source}" is neither a file nor a named data set.{near}')
        given, trained = self.data.model_fields_set, self.metadata.reading
        if not reading_like(source, self.data, str(trained.get("suffix", ""))):
            return source, self.data, ()
        reading = {key: value for key, value in trained.items() if key != "suffix" and key not in given}
        return source, self.data.model_copy(update=reading), ()

    def _columns(self, table: Table, need_label: bool, data: DataConfig) -> tuple[Columns, tuple[str, ...]]:
        """The columns of an opened table, and notes on what was inferred."""
        trained, task = self.metadata.columns, self.task
        given: dict[str, Any] = {}
        numbers = {len(trained.text)}
        if task.predicts_single_texts:
            numbers |= set(task.columns.num_texts) if need_label else {1, *task.columns.num_texts}
        if data.text is None and len(table.columns) == 1 and 1 in numbers:
            given["text"] = table.columns
        for names in (self.line_columns, trained.text):
            if data.text is None and all(table.has(name) for name in names):
                given["text"] = names
        if data.label is None and trained.label is not None and table.has(trained.label) and need_label:
            given["label"] = trained.label
        if data.id is None and trained.id is not None and table.has(trained.id):
            given["id"] = trained.id
        options = data.model_copy(update=given)
        try:
            known = replace(task.columns, num_texts=tuple(numbers))
            columns, notes = choose_columns(table, options, known, need_label and task.needs_label)
        except DataError as error:
            if options.text is not None:
                raise
            label = f' and the label column "{trained.label}"' if need_label and trained.label else ""
            were = "column was" if len(trained.text) == 1 else "columns were"
            text = ", ".join(f'"{name}"' for name in trained.text)
            missing = [name for name in trained.text if not table.has(name)]
            near = did_you_mean(missing[0], [*table.columns, *table.nested]) if missing else ""
            raise DataError(f"{error}\nIn training, the text {were} {text}{label}.{near}") from error
        if len(columns.text) not in numbers:
            raise DataError(
                f"{table.name}: this model was trained on {_counted(trained.text)}, but got "
                f"{_counted(columns.text)}. Set data.text to the right columns, as in "
                f"data.text={','.join(trained.text)}"
            )
        return columns, (*table.notes, *notes)


def _table_of_texts(rows: list[dict[str, Any]], columns: Columns) -> Table:
    """The table of rows with these columns, whose values are texts, lists or None."""
    if not all(value is None or isinstance(value, str) for row in rows for value in row.values()):
        return table_from_memory(rows)
    # Without a search for nested values, which takes as long as tokenizing a short text.
    return _table_of_rows(rows, columns)


def _table_of_rows(rows: list[dict[str, Any]], columns: Columns) -> Table:
    """The table of rows with these columns, whose values are texts or None."""
    read = [Row(row, Origin(MEMORY, number)) for number, row in enumerate(rows, start=1)]
    return Table(MEMORY, columns.text, True, lambda: iter(read))


def _plain_columns(num_texts: int) -> tuple[str, ...]:
    """Column names for texts without names."""
    if num_texts == 1:
        return ("text",)
    return tuple(f"text_{ascii_lowercase[i]}" if i < 26 else f"text_{i + 1}" for i in range(num_texts))


def _named_file(name: str, given: DataConfig) -> tuple[str, DataConfig, tuple[str, ...]]:
    """The evaluation file of a named data set, the settings to read it with, and notes."""
    from bertune.data import named
    from bertune.source import SPLITS

    defaults = named.defaults(name, to_score=True)
    settings = defaults.settings["data"]
    use = next((use for use in ("test", "validation") if settings.get(use)), None)
    if use is None:
        raise DataError(
            f'the data set "{name}" has only a training file, and no test or validation file. To use the '
            f"training file, pass its path: {settings['train']}"
        )
    own = {key: getattr(given, key) for key in given.model_fields_set}
    reading = {key: value for key, value in settings.items() if key not in SPLITS}
    notes = (f"{name}: using the {use} file {settings[use]}", *defaults.notes)
    return settings[use], DataConfig.model_validate({**reading, **own}), notes


def _counted(names: tuple[str, ...]) -> str:
    """The number of text columns and their names, for messages."""
    return f"{len(names)} text column{'s' * (len(names) != 1)} ({', '.join(names)})"
