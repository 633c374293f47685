"""From rows to the sequences of a task, in the same way for training and prediction."""

import re
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from bertune import registry
from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import Columns, choose_columns
from bertune.data.tables import Table
from bertune.errors import DataError, ModelError, listed
from bertune.tasks import OF_A_RULE, FittedTask, Task, make_task
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextEncoder:
    """Tokenizes the examples of a task into sequences."""

    fitted: FittedTask
    tokenizer: Tokenizer
    max_length: int

    def __call__(self, examples: list[Any]) -> list[Sequence]:
        """The sequences of examples, truncated to the maximum length.

        Raises ModelError for token ids that have no embedding in the model.
        """
        try:
            sequences = self.fitted.encode(examples, self.tokenizer, self.max_length)
        except OverflowError as error:  # an id beyond 32 bits
            raise self._out_of_range() from error
        if sequences:
            all_ids = sequences[0].ids if len(sequences) == 1 else np.concatenate([s.ids for s in sequences])
            if all_ids.max() >= self.tokenizer.num_ids:
                raise self._out_of_range()
        return sequences

    def _out_of_range(self) -> ModelError:
        return ModelError(
            f"the tokenizer in {self.tokenizer.folder} produces token IDs outside vocab_size="
            f"{self.tokenizer.num_ids:,} of config.json. It is damaged or belongs to another model; use the "
            "tokenizer files that belong to this model"
        )


def read_examples(table: Table, task: Task, columns: Columns, most: int | None = None) -> list[Any]:
    """The examples of a table, or of its first `most` rows. Raises DataError at the first invalid row."""
    return task.settled([task.parse(row, columns) for row in islice(table.rows(), most)])


def known_column_names(task: Task, trained: Columns | None = None) -> set[str]:
    """Column names that identify a header line: the usual ones of the task and those of the training data."""
    known = {name for group in task.columns.text for name in group} | set(task.columns.label)
    known |= set(getattr(task.options, "columns", None) or ())  # one column per label
    if trained is not None:
        used = {*trained.text, trained.label, trained.id}
        known |= {name for name in used if name is not None and not name.isdecimal()}
    return known


def columns_to_train(table: Table, task: Task, options: DataConfig) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a table with gold labels, and notes on what was inferred. Raises DataError."""
    names, need_label = task.columns, task.needs_label
    try:
        columns, notes = choose_columns(table, options, names, need_label)
    except DataError:
        other = "" if options.text or options.label else _other_task(table, task)
        if not other:
            raise
        columns, notes = choose_columns(table, options, names, need_label, other)
    if options.label is None and columns.label is not None and need_label:
        refuse_predicted_labels(table, task, columns.label)
    return columns, notes


def refuse_predicted_labels(table: Table, task: Task, label: str) -> None:
    """Raise DataError if the label column of a table holds predictions, as in a file that `predict` wrote.

    There, an input column with the name of a prediction column was renamed to NAME_given, and the table has
    all fields of a prediction. Scored against themselves, predictions would always be right.
    """
    renamed = re.compile(rf"{re.escape(label)}_given(_\d+)?")
    given = sorted((column for column in table.columns if renamed.fullmatch(column)), key=len)
    others = [f.name for f in fields(task.Prediction) if f.metadata != OF_A_RULE and f.name != label]
    is_field = label in {f.name for f in fields(task.Prediction)}
    is_written = all(any(c == n or c.startswith(f"{n}.") for c in table.columns) for n in others)
    if not given and not (is_field and others and is_written):
        return
    beside = given[:1] or others
    which = f"set data.label={given[0]}" if given else "set data.label to the column with the gold labels"
    raise DataError(
        f'{table.name}: column "{label}" seems to hold the predictions of a model, because the table also '
        f"has {listed(beside)}, as in a file written by `bertune predict`. Expected gold labels; {which}. To "
        f"use the predictions as labels, set data.label={label}"
    )


def _other_task(table: Table, task: Task) -> str:
    """The task whose usual column names a table has, as advice; empty if there is none or several."""
    first = next(table.rows()).values.values()
    names = {str(n).strip().casefold() for n in (table.columns if table.has_header else first)}
    found: dict[str, int] = {}  # the number of columns, by task
    for name in registry.names("task"):
        usual = make_task(TaskConfig(name=name)).columns
        if usual == task.columns:
            continue
        texts = [group for group in usual.text if names >= {n.casefold() for n in group}]
        if texts and names & {n.casefold() for n in usual.label}:
            found[name] = max(map(len, texts))
    best = [name for name, size in found.items() if size == max(found.values())]
    if len(best) != 1:
        return ""
    return (
        f"These are the usual columns of another task. Set task.name={best[0]}; or, to keep the task, set "
        "data.text and data.label"
    )
