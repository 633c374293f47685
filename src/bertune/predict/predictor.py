"""Prediction: examples in, predictions out in the same order, during training and after."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from bertune.errors import NonFiniteError
from bertune.predict.backend import Backend, Poll, never_stop
from bertune.tasks import FittedTask, Output
from bertune.text.sequences import Sequence

STREAM_CHUNK = 2048  # rows held at once: enough to sort by length, little enough for any memory
_MOST_OUTPUTS = 2**25  # numbers of a row for each token that are held at once: 128 MB

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


def plain(prediction: Any) -> dict[str, Any]:
    """A prediction as plain JSON values."""
    return {field.name: getattr(prediction, field.name) for field in fields(prediction)}


Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
