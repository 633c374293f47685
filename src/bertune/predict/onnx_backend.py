"""The ONNX backend: runs an exported graph with ONNX Runtime, without torch.

Dimensions: B sequences of a batch, L longest of them, C outputs.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bertune.errors import ModelError, ResourceError
from bertune.metadata import ExportMetadata
from bertune.metrics.arrays import FloatArray
from bertune.metrics.calibration import OutputScale
from bertune.predict.backend import BackendOutputs, Poll, Runtime, never_stop
from bertune.predict.graphs import Graph, is_out_of_memory, precision_of, session_errors
from bertune.tasks import FittedTask, Output
from bertune.text.batches import Indices, micro_batches
from bertune.text.sequences import Sequence

# Padded tokens per call of the graph: the activations of more tokens leave the cache of a CPU core.
_CPU_TOKENS, _GPU_TOKENS = 256, 32768
_MOST_OUTPUTS = 2**25  # numbers returned by all concurrent calls together: 128 MB in fp32

_CHOICES = "AutoModelForMultipleChoice"  # whose inputs are [B, choices, L]
_NOT_DECODED = "last_hidden_state"  # exported for other programs


@dataclass(frozen=True)
class OnnxBackend:
    """An exported graph, with the task that determines its batches. Threads can share it."""

    graph: Graph
    export: ExportMetadata
    fitted: FittedTask
    output_scale: OutputScale | None = None  # folded into the graph; decoding applies it, in fp64

    @property
    def runtime(self) -> Runtime:
        tokens = self.micro_batch_tokens * self.graph.calls
        return Runtime("onnx", precision_of(self.export), True, tokens)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences, without a loss. Raises ResourceError, and whatever `poll` raises."""
        if len(sequences) == 1:  # without forming batches, which a short text would notice
            poll()
            return BackendOutputs(self._compute(sequences, self.graph.session_for(len(sequences[0]))))
        lengths = [len(s) for s in sequences]
        batches = list(divided(lengths, self.micro_batch_tokens, self.graph.calls))
        # On many cores, a few batches are computed one after the other, each with all threads.
        is_parallel = 2 * len(batches) > self.graph.calls

        def compute(positions: Indices) -> list[Output]:
            chosen = [sequences[i] for i in positions]
            tokens = sum(map(len, chosen))
            session = self.graph.session if is_parallel else self.graph.session_for(tokens)
            return self._compute(chosen, session)

        computed = _mapped(compute, batches, self.graph.calls if is_parallel else 1, poll)
        with contextlib.closing(computed):
            return BackendOutputs(_in_order(batches, computed))

    def with_threads(self, sequences: SequenceOf[Sequence], threads: int) -> list[Output]:
        """The outputs of all sequences, one micro-batch after the other, each with a number of threads.

        Raises ResourceError.
        """
        session = self.graph.session_with(threads)
        if len(sequences) == 1:  # without forming batches, which a short text would notice
            return self._compute(sequences, session)
        batches = list(micro_batches([len(s) for s in sequences], self.micro_batch_tokens))
        return _in_order(batches, (self._compute([sequences[i] for i in b], session) for b in batches))

    @property
    def micro_batch_tokens(self) -> int:
        """The most padded tokens of one call of the graph."""
        width = self.export.vocab_size if self.export.auto_class == "AutoModelForMaskedLM" else 1
        machine = self.graph.machine
        usual = _CPU_TOKENS if machine.gpu is None else _GPU_TOKENS
        most = _MOST_OUTPUTS // (width * self.graph.calls)
        return max(1, min(machine.micro_batch_tokens or usual, most))

    def _compute(self, sequences: SequenceOf[Sequence], session: Any) -> list[Output]:
        """The outputs of one batch."""
        try:
            arrays = session.run(self._output_names, self._inputs(sequences))
        except session_errors() as error:
            if not is_out_of_memory(error):
                raise ModelError(
                    f"{self.graph.path} cannot be run: {error}. Check the export with `bertune verify`, or "
                    "export the run again"
                ) from error
            raise ResourceError(
                f"out of memory for {len(sequences)} texts of up to {max(map(len, sequences)):,} tokens. "
                "Free some memory, or set a smaller model.max_length"
            ) from error
        found = np.stack(arrays, -1) if len(arrays) > 1 else arrays[0]
        if self.output_scale is not None:
            found = (found.astype(np.float64) - self.output_scale.offset) / self._factors
        found = found.astype(np.float32, copy=False)
        rows = (found[i, : len(s)] for i, s in enumerate(sequences)) if self._is_per_token else found
        return [self.fitted.reduce_array(row, s) for row, s in zip(rows, sequences, strict=True)]

    def _inputs(self, sequences: SequenceOf[Sequence]) -> dict[str, NDArray[np.int64]]:
        """The padded inputs of the graph by name, [B, L], or [B, 1, L] for choices."""
        inputs = padded_inputs(sequences, self.graph.input_names, self.export.pad_id)
        if self.export.auto_class == _CHOICES:
            return {name: array[:, None] for name, array in inputs.items()}
        return inputs

    @cached_property
    def _output_names(self) -> list[str]:
        """The names of the outputs that are decoded."""
        return [name for name in self.export.outputs if name != _NOT_DECODED]

    @cached_property
    def _is_per_token(self) -> bool:
        return self.fitted.head.per_token

    @cached_property
    def _factors(self) -> FloatArray:
        assert self.output_scale is not None
        return np.array(self.output_scale.factors)


def divided(lengths: SequenceOf[int], most_tokens: int, threads: int) -> Iterator[Indices]:
    """The positions of each batch of at most `most_tokens` padded tokens.

    With several threads, even a few sequences are divided among them.
    """
    if threads > 1:
        share = max(lengths, default=0) * math.ceil(len(lengths) / threads)
        most_tokens = min(most_tokens, share)
    return micro_batches(lengths, most_tokens)


def _in_order(batches: SequenceOf[Indices], computed: Iterable[list[Output]]) -> list[Output]:
    """The outputs of batches, in the order of the positions that the batches have."""
    outputs: list[Output] = [np.empty(0, np.float32)] * sum(map(len, batches))
    for positions, found in zip(batches, computed, strict=True):
        for position, output in zip(positions, found, strict=True):
            outputs[position] = output
    return outputs


Item = TypeVar("Item")
Found = TypeVar("Found")


def _mapped(
    function: Callable[[Item], Found], items: SequenceOf[Item], threads: int, poll: Poll
) -> Generator[Found]:
    """The results of a function for all items, in order; `poll` is called before each item is started."""
    if threads == 1 or len(items) < 2:
        for item in items:
            poll()
            yield function(item)
        return
    started: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(min(threads, len(items)), thread_name_prefix="bertune-batch") as pool:
        try:
            for item in items:
                poll()
                started.append(pool.submit(function, item))
                if len(started) > 2 * threads:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for one in started:
                one.cancel()


def padded_inputs(
    sequences: SequenceOf[Sequence], names: Container[str], pad_id: int
) -> dict[str, NDArray[np.int64]]:
    """The inputs of a graph, [B, L]: IDs and mask, and token types if `names` contains them."""
    has_types = "token_type_ids" in names
    if len(sequences) == 1:
        [only] = sequences
        ids_BL = only.ids.astype(np.int64)[None]
        inputs = {"input_ids": ids_BL, "attention_mask": np.ones_like(ids_BL)}
        return {**inputs, "token_type_ids": only.types.astype(np.int64)[None]} if has_types else inputs
    lengths_B = np.array([len(s) for s in sequences])
    mask_BL = np.arange(lengths_B.max()) < lengths_B[:, None]
    ids_BL = np.full(mask_BL.shape, pad_id, np.int64)
    ids_BL[mask_BL] = np.concatenate([s.ids for s in sequences])
    inputs = {"input_ids": ids_BL, "attention_mask": mask_BL.astype(np.int64)}
    if has_types:
        types_BL = np.zeros(mask_BL.shape, np.int64)
        types_BL[mask_BL] = np.concatenate([s.types for s in sequences])
        inputs["token_type_ids"] = types_BL
    return inputs
