"""The ONNX backend: runs an exported graph with ONNX Runtime, without torch.

Dimensions: B sequences of a batch, L longest of them, C outputs.
"""

import contextlib
import os
from collections.abc import Container, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.config import MachineConfig
from bertune.cores import available_cores
from bertune.errors import ConfigError, ModelError, ResourceError
from bertune.huge_pages import huge_pages
from bertune.metadata import ExportMetadata
from bertune.metrics.arrays import FloatArray
from bertune.metrics.calibration import OutputScale
from bertune.optional_packages import needs
from bertune.predict.backend import BackendOutputs, Poll, Runtime, never_stop
from bertune.tasks import FittedTask, Output
from bertune.text.batches import Indices, micro_batches
from bertune.text.sequences import Sequence

# Padded tokens per call of the graph: larger batches leave the cache of a CPU.
_CPU_TOKENS, _GPU_TOKENS = 1024, 32768
_MOST_OUTPUTS = 2**25  # numbers that the graph returns per call: 128 MB in fp32

_CHOICES = "AutoModelForMultipleChoice"  # whose inputs are [B, choices, L]
_NOT_DECODED = "last_hidden_state"  # exported for other programs
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@dataclass(frozen=True)
class GraphMachine:
    """The device and the threads of a graph, and the size of its micro-batches."""

    threads: int | None = None  # None: OMP_NUM_THREADS, as torch takes it, or all usable cores
    gpu: int | None = None  # number of the CUDA device; None for the CPU
    micro_batch_tokens: int | None = None  # None: the usual number

    @classmethod
    def of(cls, config: MachineConfig, export: ExportMetadata) -> "GraphMachine":
        """Resolve the machine settings for a graph.

        Raises ConfigError for a device that ONNX Runtime cannot use, and for another precision than that of
        the graph.
        """
        own = precision_of(export)
        if config.precision not in ("auto", own):
            raise ConfigError(
                f"machine.precision={config.precision}: the precision of a graph is fixed when it is "
                f"exported, and this one ({export.format}) has {own}. Remove the setting"
            )
        return cls(
            None if config.threads == "auto" else int(config.threads),
            _gpu(config.device),
            None if config.micro_batch_tokens == "auto" else int(config.micro_batch_tokens),
        )


@dataclass(frozen=True)
class OnnxBackend:
    """An exported graph, with the task that determines its batches. Threads can share it."""

    path: Path
    export: ExportMetadata
    fitted: FittedTask
    output_scale: OutputScale | None = None  # folded into the graph; decoding applies it, in fp64
    machine: GraphMachine = GraphMachine()
    session: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.session is None:
            object.__setattr__(self, "session", open_session(self.path, self.machine))

    def __getstate__(self) -> dict[str, Any]:
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**known, "session": None}  # a session cannot be pickled; the copy opens the file again

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()

    @property
    def runtime(self) -> Runtime:
        return Runtime("onnx", precision_of(self.export), True, self._micro_batch_tokens)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences, without a loss. Raises ResourceError, and whatever `poll` raises."""
        if len(sequences) == 1:  # without sorting into micro-batches, which a short text would notice
            poll()
            return BackendOutputs(self._compute(list(sequences)))
        outputs: list[Output] = [np.empty(0, np.float32)] * len(sequences)
        for positions in self._batches(sequences):
            poll()
            chosen = [sequences[i] for i in positions]
            for position, output in zip(positions, self._compute(chosen), strict=True):
                outputs[position] = output
        return BackendOutputs(outputs)

    @property
    def _micro_batch_tokens(self) -> int:
        width = self.export.vocab_size if self.export.auto_class == "AutoModelForMaskedLM" else 1
        usual = _CPU_TOKENS if self.machine.gpu is None else _GPU_TOKENS
        return max(1, min(self.machine.micro_batch_tokens or usual, _MOST_OUTPUTS // width))

    def _batches(self, sequences: SequenceOf[Sequence]) -> Iterator[Indices]:
        return micro_batches([len(s) for s in sequences], self._micro_batch_tokens)

    def _compute(self, sequences: list[Sequence]) -> list[Output]:
        """The outputs of one batch."""
        try:
            arrays = self.session.run(self._output_names, self._inputs(sequences))
        except session_errors() as error:
            if not _is_out_of_memory(error):
                raise ModelError(
                    f"{self.path} cannot be run: {error}. Check the export with `bertune verify`, or export "
                    "the run again"
                ) from error
            raise ResourceError(
                f"out of memory for {len(sequences)} texts of up to {max(map(len, sequences)):,} tokens. "
                "Free some memory, or set a smaller model.max_length"
            ) from error
        found = np.stack(arrays, -1) if len(arrays) > 1 else arrays[0]
        if self.output_scale is not None:
            found = (found.astype(np.float64) - self.output_scale.offset) / self._factors
        found = found.astype(np.float32, copy=False)
        rows = (found[i, : len(s)] for i, s in enumerate(sequences)) if self.fitted.head.per_token else found
        return [self.fitted.reduce_array(row, s) for row, s in zip(rows, sequences, strict=True)]

    def _inputs(self, sequences: list[Sequence]) -> dict[str, NDArray[np.int64]]:
        """The padded inputs of the graph by name, [B, L], or [B, 1, L] for choices."""
        inputs = padded_inputs(sequences, self._input_names, self.export.pad_id)
        if self.export.auto_class == _CHOICES:
            return {name: array[:, None] for name, array in inputs.items()}
        return inputs

    @cached_property
    def _input_names(self) -> frozenset[str]:
        return frozenset(given.name for given in self.session.get_inputs())

    @cached_property
    def _output_names(self) -> list[str]:
        """The names of the outputs that are decoded."""
        return [name for name in self.export.outputs if name != _NOT_DECODED]

    @cached_property
    def _factors(self) -> FloatArray:
        assert self.output_scale is not None
        return np.array(self.output_scale.factors)


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


def session_errors() -> tuple[type[Exception], ...]:
    """The errors that ONNX Runtime raises for a graph that it cannot load or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _is_out_of_memory(error: Exception) -> bool:
    return any(sign in str(error) for sign in ("bad_alloc", "Failed to allocate memory"))


def open_session(path: Path, machine: GraphMachine) -> Any:
    """An ONNX Runtime session. Raises ModelError, ResourceError."""
    with needs("onnxruntime", f"to run {path}"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.threads or _usual_threads()
    options.log_severity_level = 4  # what it logs as an error is also raised
    # Otherwise, the threads wait actively for the next call, on the cores that the rest of a service needs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    gpu = [] if machine.gpu is None else [(_CUDA, {"device_id": machine.gpu})]
    try:
        with contextlib.nullcontext() if gpu else huge_pages():
            return onnxruntime.InferenceSession(str(path), options, providers=[*gpu, _CPU])
    except session_errors() as error:
        if _is_out_of_memory(error):
            raise ResourceError(
                f"out of memory for {path}. Free some memory, or raise the limit (ulimit -v)"
            ) from error
        raise ModelError(
            f"{path} is not a graph that ONNX Runtime can run ({str(error).splitlines()[0][:200]}). Export "
            "the run again"
        ) from error


def _usual_threads() -> int:
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else available_cores()


def precision_of(export: ExportMetadata) -> str:
    """The precision of the matrix products of a graph: fp32, fp16 or int8."""
    return export.format.partition("-")[2] or "fp32"  # as in onnx-int8


def _gpu(device: str) -> int | None:
    """The number of the CUDA device that a setting names; None for the CPU. Raises ConfigError."""
    if device in ("auto", "cpu"):
        return None
    name, _, number = device.partition(":")
    if name != "cuda" or not (number or "0").isdecimal():
        raise ConfigError(f"machine.device={device}: a graph runs on cpu, cuda or cuda:N. Remove the setting")
    with needs("onnxruntime", f"for machine.device={device}"):
        import onnxruntime

    if _CUDA not in onnxruntime.get_available_providers():
        raise ConfigError(
            f"machine.device={device}: the installed onnxruntime cannot use a GPU. Install onnxruntime-gpu "
            "in its place, or remove the setting to use the CPU"
        )
    return int(number or 0)
