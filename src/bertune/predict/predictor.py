"""The predictor: rows or examples in, predictions out in the same order, during and after training.

A row that cannot be predicted does not affect the predictions of the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from bertune.data.columns import Columns
from bertune.data.rows import Row
from bertune.errors import DataError, NonFiniteError
from bertune.predict.backend import Backend, Poll, never_stop
from bertune.tasks import FittedTask, Output, plain_fields
from bertune.tasks.encoder import TextEncoder
from bertune.text.sequences import Sequence

STREAM_CHUNK = 2048  # rows in memory at once: enough to sort by length, and small
_MOST_OUTPUTS = 2**25  # per-token outputs in memory at once, as fp32 numbers: 128 MB
_MOST_SHOWN = 20  # error messages that are kept; every row of a file may fail

Decode = Callable[[list[Output], list[Sequence], Any], Any]


@dataclass(frozen=True)
class PredictionOutput:
    """The predictions of a model for some examples."""

    predictions: list[Any]
    loss: float | None  # mean over all terms; None if the examples have no gold


@dataclass(frozen=True)
class Predictor:
    """A fitted task and the network that computes its outputs."""

    fitted: FittedTask
    backend: Backend
    poll: Poll = never_stop  # called between batches; can raise an exception to stop

    def __call__(
        self,
        examples: SequenceOf[Any],
        sequences: SequenceOf[Sequence],
        decode: Decode | None = None,
    ) -> PredictionOutput:
        """Predictions in the order of `examples`; `sequences` are their sequences, as returned by `encode`.

        `decode` overrides the `decode` of the task. Raises NonFiniteError for NaN and infinite outputs.
        """
        decode = decode or self.fitted.decode
        predictions: list[Any] = []
        loss_sum, num_terms = 0.0, 0.0
        for by_group, part in self._portions(len(examples), sequences):
            result = self.backend(part, self.poll)
            loss_sum, num_terms = loss_sum + result.loss_sum, num_terms + result.num_terms
            _refuse_not_finite(result.outputs, part, examples)
            predictions += _decoded(by_group, part, result.outputs, examples, decode)
        return PredictionOutput(predictions, loss_sum / num_terms if num_terms else None)

    def _portions(
        self, num_examples: int, sequences: SequenceOf[Sequence]
    ) -> Iterator[tuple[dict[int, list[int]], SequenceOf[Sequence]]]:
        """Portions of consecutive examples: the positions of each one's sequences, and all these sequences.

        There is a single portion, unless per-token outputs would take too much memory.
        """
        by_group: dict[int, list[int]] = {group: [] for group in range(num_examples)}
        for position, sequence in enumerate(sequences):
            by_group[sequence.group].append(position)
        width = len(self.fitted.labels)
        if not self.fitted.head.per_token or width * sum(map(len, sequences)) <= _MOST_OUTPUTS:
            yield by_group, sequences
            return
        portion: dict[int, list[int]] = {}
        part: list[Sequence] = []
        num_outputs = 0
        for group, positions in by_group.items():
            size = width * sum(len(sequences[i]) for i in positions)
            if portion and num_outputs + size > _MOST_OUTPUTS:
                yield portion, part
                portion, part, num_outputs = {}, [], 0
            portion[group] = list(range(len(part), len(part) + len(positions)))
            part += [sequences[i] for i in positions]
            num_outputs += size
        yield portion, part


def decoded(
    fitted: FittedTask,
    examples: SequenceOf[Any],
    sequences: SequenceOf[Sequence],
    outputs: SequenceOf[Output],
    decode: Decode | None = None,
) -> list[Any]:
    """The predictions for examples whose outputs a backend has computed, one output per sequence.

    For callers that run the backend themselves, such as the service. Raises NonFiniteError.
    """
    by_group: dict[int, list[int]] = {group: [] for group in range(len(examples))}
    for position, sequence in enumerate(sequences):
        by_group[sequence.group].append(position)
    _refuse_not_finite(outputs, sequences, examples)
    return list(_decoded(by_group, sequences, outputs, examples, decode or fitted.decode))


def _decoded(
    by_group: Mapping[int, list[int]],
    sequences: SequenceOf[Sequence],
    outputs: SequenceOf[Output],
    examples: SequenceOf[Any],
    decode: Decode,
) -> Iterator[Any]:
    """The prediction of each group, from the outputs at its positions."""
    for group, positions in by_group.items():
        yield decode([outputs[i] for i in positions], [sequences[i] for i in positions], examples[group])


def _refuse_not_finite(
    outputs: SequenceOf[Output], sequences: SequenceOf[Sequence], examples: SequenceOf[Any]
) -> None:
    """Raise NonFiniteError with the location of the first example whose outputs are NaN or infinite."""
    groups = [s.group for s, output in zip(sequences, outputs, strict=True) if not np.isfinite(output).all()]
    if groups:
        raise NonFiniteError(
            f"{examples[min(groups)].origin}: the outputs of the model are NaN or infinite, so the text "
            "cannot be predicted. The weights are corrupt or training diverged. Train again with a lower "
            "train.lr"
        )


@dataclass(frozen=True)
class ReadableRows:
    """The rows of a chunk that can be predicted, in order, and the errors of the others."""

    examples: list[Any]
    sequences: list[Sequence]  # sequences of the examples; `group` is the index in `examples`
    is_readable: list[bool]  # for each row of the chunk
    num_rows: int  # number of input rows; a row of the chunk may be a group of several input rows
    num_blank: int  # number of input rows without text
    errors: Mapping[int, DataError]  # by position, for rows with text that cannot be predicted

    @property
    def failures(self) -> list[DataError]:
        """The errors, in the order of the rows."""
        return [self.errors[position] for position in sorted(self.errors)]

    def with_gaps(self, predictions: SequenceOf[Any]) -> list[Any]:
        """One prediction per row of the chunk; None for rows that cannot be predicted."""
        remaining = iter(predictions)
        return [next(remaining) if readable else None for readable in self.is_readable]

    @property
    def num_truncated(self) -> int:
        """The number of truncated examples."""
        return len({s.group for s in self.sequences if s.num_removed})


@dataclass
class Tally:
    """Counts of predicted, blank, failed and truncated rows, and the first error messages."""

    rows: int = 0
    blank: int = 0
    failed: int = 0
    truncated: int = 0
    failures: list[str] = field(default_factory=list)  # the first _MOST_SHOWN messages
    on_rows: Callable[[int], None] = lambda rows: None  # called with `rows` after each chunk

    def add(self, chunk: ReadableRows) -> None:
        """Count the rows of a chunk.

        Raises DataError if no row with text in the first chunk can be predicted, because then the table does
        not fit the model.
        """
        if not self.rows and chunk.failures and not chunk.examples:
            first = chunk.failures[0]
            others = "" if len(chunk.failures) == 1 else "\nThe other rows cannot be predicted either"
            raise DataError(f"{first}{others}") from first
        self.rows += chunk.num_rows
        self.blank += chunk.num_blank
        self.failed += len(chunk.failures)
        self.truncated += chunk.num_truncated
        self.failures += map(str, chunk.failures[: _MOST_SHOWN - len(self.failures)])
        self.on_rows(self.rows)


def readable_rows(rows: SequenceOf[Row], encoder: TextEncoder, columns: Columns) -> ReadableRows:
    """Parse and encode rows for prediction; label columns are ignored.

    Errors of single rows are returned. Raises ConfigError and ModelError, which concern all rows.
    """
    task = encoder.fitted.task
    without_gold = Columns(columns.text, None, columns.id, has_gold=False)
    examples: list[Any] = []
    positions: list[int] = []  # of the examples
    failures: dict[int, DataError] = {}
    num_rows = num_blank = 0
    for position, row in enumerate(rows):
        size = len(row.parts) or 1
        num_rows += size
        try:
            if task.is_blank(row, columns):
                num_blank += size
            else:
                examples.append(task.parse(row, without_gold))
                positions.append(position)
        except DataError as error:
            failures[position] = error
    sequences, refused = _encoded(encoder, examples, 0) if examples else ([], {})
    if refused:
        failures |= {positions[group]: error for group, error in refused.items()}
        kept = [group for group in range(len(examples)) if group not in refused]
        examples, positions = [examples[group] for group in kept], [positions[group] for group in kept]
        number = {group: new for new, group in enumerate(kept)}
        sequences = [replace(s, group=number[s.group]) for s in sequences]
    is_readable = [False] * len(rows)
    for position in positions:
        is_readable[position] = True
    return ReadableRows(examples, sequences, is_readable, num_rows, num_blank, failures)


def _encoded(
    encoder: TextEncoder, examples: list[Any], first: int
) -> tuple[list[Sequence], dict[int, DataError]]:
    """The sequences of the examples, whose groups start at `first`, and the errors of the others by group.

    All examples are encoded at once, which is fastest; if one fails, the examples are bisected.
    """
    try:
        sequences = encoder(examples)
    except DataError as error:
        if len(examples) == 1:
            return [], {first: error}
        half = len(examples) // 2
        left, refused = _encoded(encoder, examples[:half], first)
        right, more = _encoded(encoder, examples[half:], first + half)
        return left + right, refused | more
    return [replace(s, group=s.group + first) for s in sequences] if first else sequences, {}


def plain(prediction: Any) -> dict[str, Any]:
    """A prediction as a dict of plain JSON values."""
    return plain_fields(prediction)


Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
