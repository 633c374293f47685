"""The torch backend: predicts in micro-batches, and in smaller ones if memory runs out."""

import logging
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertune.config import MachineConfig
from bertune.nn.attributions import IntegratedGradients
from bertune.nn.batch import Batch, collate
from bertune.nn.device import Machine, make_machine
from bertune.nn.memory import memory_errors, with_fewer_tokens
from bertune.nn.model import TextModel
from bertune.nn.pooling import PooledEncoder
from bertune.predict.backend import BackendOutputs, Poll, Runtime, never_stop
from bertune.saved_model import LoadedModel
from bertune.tasks import FittedTask, Output
from bertune.tasks.explained import Attributions, OutputWeights
from bertune.text.batches import Indices, micro_batches, slices
from bertune.text.sequences import Sequence

_LOG = logging.getLogger(__name__)
# Tokens of a micro-batch with gradients: the graph of BERT-base takes about 0.6 MB per token.
_GRADIENT_TOKENS = 1024
_NOTHING: Output = np.empty(0, np.float32)


@dataclass(frozen=True)
class TorchBackend:
    """A torch model, with the task and the machine settings that determine its micro-batches."""

    model: TextModel | PooledEncoder
    fitted: FittedTask
    machine: Machine

    @property
    def runtime(self) -> Runtime:
        pads = getattr(self.model, "packed", None) is None
        return Runtime("torch", self.machine.precision, pads, self.machine.micro_batch_tokens)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences, without dropout. Raises ResourceError, and whatever `poll` raises."""
        was_training = self.model.training
        if was_training:  # otherwise the model must not be modified, because threads may share it
            self.model.eval()
        try:
            return self._in_batches(sequences, poll)
        finally:
            if was_training:
                self.model.train()

    def attributions(
        self,
        sequence: Sequence,
        number: OutputWeights,
        replaced_L: NDArray[np.bool_],
        neutral_id: int | None,
        poll: Poll = never_stop,
    ) -> Attributions:
        """As in `ExplainingBackend`. The model is not modified. Raises ResourceError."""
        with memory_errors():
            return self._gradients(sequence, number, replaced_L, neutral_id, poll)

    def __getstate__(self) -> dict[str, Any]:
        """The state without the cached copy of the model, which is built again when needed."""
        return {key: value for key, value in self.__dict__.items() if key != "_gradients"}

    @cached_property
    def _gradients(self) -> IntegratedGradients:
        assert not isinstance(self.model, PooledEncoder), "vectors have no explanation"
        return IntegratedGradients(self.model, min(_GRADIENT_TOKENS, self.machine.micro_batch_tokens))

    def _in_batches(self, sequences: SequenceOf[Sequence], poll: Poll) -> BackendOutputs:
        outputs = [_NOTHING] * len(sequences)
        loss_sum, num_terms, tokens = 0.0, 0.0, self.machine.micro_batch_tokens
        for positions in self._cut(sequences, tokens):
            poll()
            chosen = [sequences[i] for i in positions]
            longest = max(len(s) for s in chosen)
            found, tokens = with_fewer_tokens(partial(self._compute, chosen), tokens, longest)
            loss_sum, num_terms = loss_sum + found.loss_sum, num_terms + found.num_terms
            for position, output in zip(positions, found.outputs, strict=True):
                outputs[position] = output
        if tokens < self.machine.micro_batch_tokens:
            _LOG.warning("out of memory: predicted in micro-batches of at most %s tokens", f"{tokens:,}")
        return BackendOutputs(outputs, loss_sum, num_terms)

    def _cut(self, sequences: SequenceOf[Sequence], tokens: int) -> Iterator[Indices]:
        groups = [s.group for s in sequences] if self.fitted.keep_together == "group" else None
        return micro_batches([len(s) for s in sequences], tokens, groups)

    def _compute(self, sequences: list[Sequence], tokens: int) -> BackendOutputs:
        """The outputs of a micro-batch, split further if memory ran out."""
        outputs = [_NOTHING] * len(sequences)
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
                outputs[position] = output.numpy()
        return BackendOutputs(outputs, loss_sum, num_terms)

    def _forward(self, sequences: list[Sequence], batch: Batch, tokens: int) -> Tensor:
        """The outputs of a batch; a group with more than `tokens` tokens is computed in pieces."""
        pieces = list(slices([len(s) for s in sequences], tokens))
        if len(pieces) == 1:
            return self.model(batch)  # type: ignore[no-any-return]
        return torch.cat([self.model(collate(sequences[p]).to(self.machine.device)) for p in pieces])


def backend_of(loaded: LoadedModel, config: MachineConfig) -> TorchBackend:
    """The backend of a saved model, in its training precision unless `config` sets another one."""
    if "precision" not in config.model_fields_set:
        config = config.model_copy(update={"precision": loaded.metadata.precision})
    with memory_errors():  # a GPU that other processes have filled refuses even the model
        machine = make_machine(config)
        model = loaded.model.to(machine.device)
    return TorchBackend(model, loaded.fitted, machine)
