"""From rows to the sequences of a task, in the same way for training and prediction."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from bertune.data.columns import Columns
from bertune.data.tables import Table
from bertune.errors import ModelError
from bertune.tasks import FittedTask, Task
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
        out_of_range = (
            f"the tokenizer in {self.tokenizer.folder} produces token IDs outside vocab_size="
            f"{self.tokenizer.num_ids:,} of config.json. It is damaged or belongs to another model; use the "
            "tokenizer files that belong to this model"
        )
        try:
            sequences = self.fitted.encode(examples, self.tokenizer, self.max_length)
        except OverflowError as error:  # an id beyond 32 bits
            raise ModelError(out_of_range) from error
        if sequences and np.concatenate([s.ids for s in sequences]).max() >= self.tokenizer.num_ids:
            raise ModelError(out_of_range)
        return sequences


def read_examples(table: Table, task: Task, columns: Columns, most: int | None = None) -> list[Any]:
    """The examples of a table, or of its first `most` rows. Raises DataError at the first invalid row."""
    return task.settled([task.parse(row, columns) for row in islice(table.rows(), most)])


def known_column_names(task: Task, trained: Columns | None = None) -> set[str]:
    """Column names that identify a header line: the usual ones of the task and those of the training data."""
    known = {name for group in task.columns.text for name in group} | set(task.columns.label)
    if trained is not None:
        used = {*trained.text, trained.label, trained.id}
        known |= {name for name in used if name is not None and not name.isdecimal()}
    return known
