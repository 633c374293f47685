"""Prediction: rows or examples in, predictions out in the same order, during training and after.

A row that cannot be predicted must not cost the others their predictions.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from bertune.data.columns import Columns
from bertune.data.rows import Row
from bertune.errors import DataError, NonFiniteError
from bertune.predict.backend import Backend, Poll, never_stop
from bertune.tasks import FittedTask, Output
from bertune.tasks.encoder import TextEncoder
from bertune.text.sequences import Sequence

STREAM_CHUNK = 2048  # rows held at once: enough to sort by length, little enough for any memory
_MOST_OUTPUTS = 2**25  # numbers of a row for each token that are held at once: 128 MB
_MOST_SHOWN = 20  # failures that are kept: a file may have as many as rows

Decode = Callable[[list[Output], list[Sequence], Any], Any]


@dataclass(frozen=True)
class PredictionOutput:
    """What a model predicts for some examples."""

    predictions: list[Any]
    loss: float | None  # mean over all terms; None where the examples have no gold


@dataclass(frozen=True)
class Predictor:
    """A fitted task with the network that computes its outputs."""

    fitted: FittedTask
    backend: Backend
    poll: Poll = never_stop  # called between batches; may raise to stop

    def __call__(
        self,
        examples: SequenceOf[Any],
        sequences: SequenceOf[Sequence],
        decode: Decode | None = None,
    ) -> PredictionOutput:
        """Predictions in the order of `examples`; `sequences` are theirs, as `encode` gave them.

        `decode` takes the place of the task's own. Raises NonFiniteError for outputs that are not finite.
        """
        decode = decode or self.fitted.decode
        predictions: list[Any] = []
        loss_sum, num_terms = 0.0, 0.0
        for own, part in self._portions(len(examples), sequences):
            found = self.backend(part, self.poll)
            loss_sum, num_terms = loss_sum + found.loss_sum, num_terms + found.num_terms
            _refuse_not_finite(found.outputs, part, examples)
            for group, positions in own.items():
                of_group = [found.outputs[i] for i in positions], [part[i] for i in positions]
                predictions.append(decode(*of_group, examples[group]))
        return PredictionOutput(predictions, loss_sum / num_terms if num_terms else None)

    def _portions(
        self, num_examples: int, sequences: SequenceOf[Sequence]
    ) -> Iterator[tuple[dict[int, list[int]], SequenceOf[Sequence]]]:
        """Consecutive examples, each with the positions of its sequences, and all these sequences: everything
        at once, unless a row of outputs for each token would fill the memory."""
        by_group: dict[int, list[int]] = {group: [] for group in range(num_examples)}
        for position, sequence in enumerate(sequences):
            by_group[sequence.group].append(position)
        width = len(self.fitted.labels)
        if not self.fitted.head.per_token or width * sum(map(len, sequences)) <= _MOST_OUTPUTS:
            yield by_group, sequences
            return
        own: dict[int, list[int]] = {}
        part: list[Sequence] = []
        held = 0
        for group, positions in by_group.items():
            size = width * sum(len(sequences[i]) for i in positions)
            if own and held + size > _MOST_OUTPUTS:
                yield own, part
                own, part, held = {}, [], 0
            own[group] = list(range(len(part), len(part) + len(positions)))
            part += [sequences[i] for i in positions]
            held += size
        yield own, part


def _refuse_not_finite(
    outputs: SequenceOf[Output], sequences: SequenceOf[Sequence], examples: SequenceOf[Any]
) -> None:
    """Raises NonFiniteError that names the first example whose outputs are not finite, if there is one."""
    groups = [s.group for s, output in zip(sequences, outputs, strict=True) if not np.isfinite(output).all()]
    if groups:
        raise NonFiniteError(
            f"{examples[min(groups)].origin}: the outputs of the model are NaN or infinite, so there is no "
            "prediction. The weights are damaged, or training diverged; train again with a lower train.lr"
        )


@dataclass(frozen=True)
class ReadableRows:
    """The rows of a chunk that a model can read, in order, and what is known of the others."""

    examples: list[Any]
    sequences: list[Sequence]  # of the examples; `group` is the position among them
    is_readable: list[bool]  # for each row of the chunk
    num_rows: int  # of the source, where a row of the chunk is several grouped ones
    num_blank: int  # of these, without text
    failures: list[DataError]  # why each other row cannot be predicted, in order

    def with_gaps(self, predictions: SequenceOf[Any]) -> list[Any]:
        """One prediction for each row of the chunk: those of the examples, None for the rows between them."""
        found = iter(predictions)
        return [next(found) if readable else None for readable in self.is_readable]

    @property
    def num_truncated(self) -> int:
        """Examples that lost tokens to truncation."""
        return len({s.group for s in self.sequences if s.num_removed})


@dataclass
class Tally:
    """How many rows of a file were predicted, and why others were not."""

    rows: int = 0
    blank: int = 0
    failed: int = 0
    truncated: int = 0
    failures: list[str] = field(default_factory=list)  # the first of them

    def add(self, found: ReadableRows) -> None:
        """Counts the rows of another chunk.

        Raises DataError where none of the rows with text in the first chunk can be predicted: then the table
        does not fit the model.
        """
        if not self.rows and found.failures and not found.examples:
            first = found.failures[0]
            others = "" if len(found.failures) == 1 else "\nNo other row can be predicted either"
            raise DataError(f"{first}{others}") from first
        self.rows += found.num_rows
        self.blank += found.num_blank
        self.failed += len(found.failures)
        self.truncated += found.num_truncated
        self.failures += map(str, found.failures[: _MOST_SHOWN - len(self.failures)])


def readable_rows(rows: SequenceOf[Row], encoder: TextEncoder, columns: Columns) -> ReadableRows:
    """Parses and encodes rows that are to be predicted; what they say of the answer is not read.

    Raises ConfigError and ModelError, which are about all rows.
    """
    task = encoder.fitted.task
    without_gold = Columns(columns.text, None, columns.id, has_gold=False)
    parsed: list[tuple[int, Any]] = []
    failures: dict[int, DataError] = {}
    num_blank = 0
    for position, row in enumerate(rows):
        try:
            if task.is_blank(row, columns):
                num_blank += len(row.parts) or 1
            else:
                parsed.append((position, task.parse(row, without_gold)))
        except DataError as error:
            failures[position] = error
    examples = [example for _, example in parsed]
    sequences, refused = _encoded(encoder, examples, 0) if examples else ([], {})
    failures |= {parsed[group][0]: error for group, error in refused.items()}
    if refused:
        kept = [group for group in range(len(examples)) if group not in refused]
        examples = [examples[group] for group in kept]
        number = {group: new for new, group in enumerate(kept)}
        sequences = [replace(s, group=number[s.group]) for s in sequences]
    readable = {position for position, _ in parsed} - failures.keys()
    return ReadableRows(
        examples,
        sequences,
        [position in readable for position in range(len(rows))],
        sum(len(row.parts) or 1 for row in rows),
        num_blank,
        [failures[position] for position in sorted(failures)],
    )


def _encoded(
    encoder: TextEncoder, examples: list[Any], first: int
) -> tuple[list[Sequence], dict[int, DataError]]:
    """The sequences of examples numbered from `first`, and why others have none.

    All are encoded at once, which the tokenizer does fastest; only where one is refused, by halves.
    """
    try:
        found = encoder(examples)
    except DataError as error:
        if len(examples) == 1:
            return [], {first: error}
        half = len(examples) // 2
        left, refused = _encoded(encoder, examples[:half], first)
        right, more = _encoded(encoder, examples[half:], first + half)
        return left + right, refused | more
    return [replace(s, group=s.group + first) for s in found] if first else found, {}


def plain(prediction: Any) -> dict[str, Any]:
    """A prediction as plain JSON values."""
    return {field.name: getattr(prediction, field.name) for field in fields(prediction)}


Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
