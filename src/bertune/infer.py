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
from bertune.nn.batch import Batch, collate
from bertune.nn.device import Machine
from bertune.nn.memory import with_fewer_tokens
from bertune.nn.model import TextModel
from bertune.tasks import FittedTask
from bertune.text.batches import Indices, micro_batches, slices
from bertune.text.sequences import Sequence

_LOG = logging.getLogger(__name__)
STREAM_CHUNK = 2048  # rows held at once: enough to sort by length, little enough for any memory
_MOST_OUTPUTS = 2**25  # numbers of a row for each token that are held at once: 128 MB


@dataclass(frozen=True)
class Outcome:
    """What a model says about some examples."""

    predictions: list[Any]
    loss: float | None  # mean over all terms; None where the examples have no gold


@dataclass(frozen=True)
class Predictor:
    """A model with what it takes to run it."""

    model: TextModel
    fitted: FittedTask
    machine: Machine
    poll: Callable[[], None] = lambda: None  # called between batches; may raise to stop

    def __call__(self, examples: SequenceOf[Any], sequences: SequenceOf[Sequence]) -> Outcome:
        """Predictions in the order of `examples`; `sequences` are theirs, as `encode` gave them."""
        predictions: list[Any] = []
        loss_sum, num_terms, tokens = 0.0, 0.0, self.machine.micro_batch_tokens
        not_finite: list[int] = []
        was_training = self.model.training
        self.model.eval()
        for own, part in self._portions(len(examples), sequences):
            outputs: list[Tensor] = [torch.empty(0)] * len(part)
            for positions in self._cut(part, tokens):
                self.poll()
                chosen = [part[i] for i in positions]
                longest = max(len(s) for s in chosen)
                (found, loss, count), tokens = with_fewer_tokens(
                    partial(self._compute, chosen), tokens, longest
                )
                loss_sum, num_terms = loss_sum + loss, num_terms + count
                if not _is_finite(torch.cat([output.flatten() for output in found])):
                    not_finite += [s.group for s, o in zip(chosen, found, strict=True) if not _is_finite(o)]
                for position, output in zip(positions, found, strict=True):
                    outputs[position] = output
            _refuse_not_finite(not_finite, examples)
            for group, places in own.items():
                of_group = [outputs[i].numpy() for i in places], [part[i] for i in places]
                predictions.append(self.fitted.decode(*of_group, examples[group]))
        self.model.train(was_training)
        if tokens < self.machine.micro_batch_tokens:
            _LOG.warning("memory ran out: predicted in batches of at most %s tokens", f"{tokens:,}")
        return Outcome(predictions, loss_sum / num_terms if num_terms else None)

    def _portions(
        self, num_examples: int, sequences: SequenceOf[Sequence]
    ) -> Iterator[tuple[dict[int, list[int]], SequenceOf[Sequence]]]:
        """Consecutive examples, each with the places of its sequences, and all these sequences: everything at
        once, unless a row of outputs for each token would fill the memory."""
        by_group: dict[int, list[int]] = {group: [] for group in range(num_examples)}
        for position, sequence in enumerate(sequences):
            by_group[sequence.group].append(position)
        width = len(self.fitted.labels) if self.fitted.head.per_token else 0
        if width * sum(map(len, sequences)) <= _MOST_OUTPUTS:
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

    def _cut(self, sequences: SequenceOf[Sequence], tokens: int) -> Iterator[Indices]:
        groups = [s.group for s in sequences] if self.fitted.keep_together == "group" else None
        return micro_batches([len(s) for s in sequences], tokens, groups)

    def _compute(self, sequences: list[Sequence], tokens: int) -> tuple[list[Tensor], float, float]:
        """Outputs in the order of `sequences`, the summed loss, and its number of terms."""
        outputs: list[Tensor] = [torch.empty(0)] * len(sequences)
        loss_sum, num_terms = 0.0, 0.0
        per_token = self.fitted.head.per_token
        for positions in self._cut(sequences, tokens):
            chosen = [sequences[i] for i in positions]
            batch = collate(chosen).to(self.machine.device)
            with torch.inference_mode(), self.machine.autocast():
                batch_outputs = self._forward(chosen, batch, tokens)
                if batch.gold is not None and self.fitted.keep_together != "step":
                    loss, count = self.fitted.loss(batch_outputs, batch)
                    loss_sum, num_terms = loss_sum + float(loss), num_terms + float(count)
                found = self.fitted.reduce_outputs(batch_outputs, batch).float().cpu()
            rows = torch.split(found, batch.lengths_S.tolist()) if per_token else found
            for position, output in zip(positions, rows, strict=True):
                outputs[position] = output
        return outputs, loss_sum, num_terms

    def _forward(self, sequences: list[Sequence], batch: Batch, tokens: int) -> Tensor:
        """The outputs of a batch; a group of more tokens than a micro-batch may have goes in pieces."""
        pieces = list(slices([len(s) for s in sequences], tokens))
        if len(pieces) == 1:
            return self.model(batch)  # type: ignore[no-any-return]
        return torch.cat([self.model(collate(sequences[p]).to(self.machine.device)) for p in pieces])


def _is_finite(output: Tensor) -> bool:
    return bool(torch.isfinite(output).all())


def _refuse_not_finite(groups: SequenceOf[int], examples: SequenceOf[Any]) -> None:
    """Raises NonFiniteError that names the first of the examples, by their positions, if there are any."""
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
