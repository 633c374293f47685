"""Owns prediction: examples in, predictions out in the same order, while training and after."""

import logging
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor

from bertune.errors import NonFiniteError
from bertune.nn.device import Machine
from bertune.nn.memory import with_fewer_tokens
from bertune.nn.model import TextModel
from bertune.tasks import Labels, Task
from bertune.text.batches import Indices, micro_batches, smallest_cut
from bertune.text.sequences import Sequence, collate

_LOG = logging.getLogger(__name__)
STREAM_CHUNK = 2048  # rows held at once: enough to sort by length, little enough for any memory


@dataclass(frozen=True)
class Outcome:
    """What a model says about some examples."""

    predictions: list[Any]
    loss: float | None  # mean over all terms; None where the examples have no gold


@dataclass(frozen=True)
class Predictor:
    """A model with what it takes to run it."""

    model: TextModel
    task: Task
    labels: Labels
    machine: Machine
    poll: Callable[[], None] = lambda: None  # called between batches; may raise to stop

    def __call__(self, examples: SequenceOf[Any], sequences: SequenceOf[Sequence]) -> Outcome:
        """Predictions in the order of `examples`; `sequences` are theirs, as `task.encode` gave them."""
        outputs: list[Tensor] = [torch.empty(0)] * len(sequences)
        loss_sum, num_terms, tokens = 0.0, 0.0, self.machine.tokens
        not_finite: list[int] = []
        was_training = self.model.training
        self.model.eval()
        for positions in self._cut(sequences, tokens):
            self.poll()
            chosen = [sequences[i] for i in positions]
            smallest = smallest_cut([len(s) for s in chosen], self._groups(chosen))
            (found, loss, count), tokens = with_fewer_tokens(partial(self._compute, chosen), tokens, smallest)
            loss_sum, num_terms = loss_sum + loss, num_terms + count
            for position, output in zip(positions, found, strict=True):
                outputs[position] = output
            if not _is_finite(torch.cat([output.flatten() for output in found])):
                not_finite += [s.group for s, o in zip(chosen, found, strict=True) if not _is_finite(o)]
        self.model.train(was_training)
        if not_finite:
            raise NonFiniteError(
                f"{examples[min(not_finite)].origin}: the outputs of the model are NaN or infinite, so there "
                "is no prediction. The weights are damaged, or training diverged; train again with a lower "
                "train.lr"
            )
        if tokens < self.machine.tokens:
            _LOG.warning("memory ran out: predicted in batches of at most %s tokens", f"{tokens:,}")
        by_group: list[list[int]] = [[] for _ in examples]
        for position, sequence in enumerate(sequences):
            by_group[sequence.group].append(position)
        predictions = [
            self.task.decode([outputs[i] for i in own], [sequences[i] for i in own], example, self.labels)
            for own, example in zip(by_group, examples, strict=True)
        ]
        return Outcome(predictions, loss_sum / num_terms if num_terms else None)

    def _cut(self, sequences: SequenceOf[Sequence], tokens: int) -> Iterator[Indices]:
        return micro_batches([len(s) for s in sequences], tokens, self._groups(sequences))

    def _groups(self, sequences: SequenceOf[Sequence]) -> list[int] | None:
        return [s.group for s in sequences] if self.task.keep_together == "group" else None

    def _compute(self, sequences: list[Sequence], tokens: int) -> tuple[list[Tensor], float, float]:
        """Outputs in the order of `sequences`, the summed loss, and its number of terms."""
        outputs: list[Tensor] = [torch.empty(0)] * len(sequences)
        loss_sum, num_terms = 0.0, 0.0
        per_token = self.task.head(self.labels).per_token
        for positions in self._cut(sequences, tokens):
            batch = collate([sequences[i] for i in positions]).to(self.machine.device)
            with torch.inference_mode(), self.machine.autocast():
                batch_outputs = self.model(batch)
                if batch.gold is not None and self.task.keep_together != "step":
                    loss, count = self.task.loss(batch_outputs, batch)
                    loss_sum, num_terms = loss_sum + float(loss), num_terms + float(count)
                found = self.task.condense(batch_outputs, batch).float().cpu()
            rows = torch.split(found, batch.lengths_S.tolist()) if per_token else found
            for position, output in zip(positions, rows, strict=True):
                outputs[position] = output
        return outputs, loss_sum, num_terms


def _is_finite(output: Tensor) -> bool:
    return bool(torch.isfinite(output).all())


def plain(prediction: Any) -> dict[str, Any]:
    """A prediction as plain JSON values."""
    return {field.name: getattr(prediction, field.name) for field in fields(prediction)}


Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
