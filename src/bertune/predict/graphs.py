"""Graphs in ONNX Runtime: the machine that runs a graph, and its sessions.

ONNX Runtime splits each operation among the threads of a session and waits for the slowest one, so several
batches are computed faster with one thread each than one after the other with all threads. A single long text
is computed faster with all threads: a second session, with its own copy of the weights, is opened for it on
first use.
"""

import contextlib
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import MachineConfig
from bertune.cores import available_cores
from bertune.errors import ConfigError, ModelError, ResourceError
from bertune.huge_pages import huge_pages
from bertune.metadata import ExportMetadata
from bertune.optional_packages import needs

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Tokens x bytes of weights from which a single batch is computed with all threads. One core takes 5 to 10 ms
# for this: with 22M parameters, for 17 tokens in fp32 or 65 in int8.
_MUCH_WORK = 1.5e9


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


class Graph:
    """An opened graph. Threads can share it. A copy made by pickle opens the file again."""

    def __init__(self, path: Path, machine: GraphMachine) -> None:
        """Open a graph. Raises ModelError, ResourceError."""
        self.path = path
        self.machine = machine
        self.threads = machine.threads or usual_threads()
        self.calls = self.threads if machine.gpu is None else 1  # at the same time, each of a batch
        self._identity = _identity(path)
        self._bytes = sum(size for _, _, size, _ in self._identity)
        self._opening = threading.Lock()
        self._opened: dict[int, Any] = {}  # further sessions, by threads
        self.session = open_session(path, machine if self.calls == 1 else replace(machine, threads=1))
        self.input_names = frozenset(given.name for given in self.session.get_inputs())

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.path, self.machine)

    def session_for(self, tokens: int) -> Any:
        """The session that computes a single batch with this many tokens fastest."""
        return self.session if self.work(tokens) < _MUCH_WORK else self.session_with(self.threads)

    def work(self, tokens: int) -> float:
        """The work of a batch: tokens x bytes of weights."""
        return tokens * self._bytes

    def session_with(self, threads: int) -> Any:
        """The session with a number of threads, which is opened on first use.

        It is the one with one thread if another cannot be opened.
        """
        if threads == 1 or self.calls == 1:
            return self.session
        with self._opening:
            if threads not in self._opened:
                self._opened[threads] = self._opened_again(threads) or self.session
        return self._opened[threads]

    def _opened_again(self, threads: int) -> Any:
        """A session with several threads; None if it cannot be opened, or if the file has been replaced."""
        # Whatever is missing, such as memory or the file, the first session can still compute the text.
        with contextlib.suppress(ResourceError, ModelError, OSError, MemoryError):
            if _identity(self.path) == self._identity:  # otherwise the file of another model
                return open_session(self.path, replace(self.machine, threads=threads))


def _identity(path: Path) -> list[tuple[str, int, int, int]]:
    """Name, inode, size and modification time of the files of a graph, which show whether it was replaced."""
    files = ((file.name, file.stat()) for file in sorted(path.parent.glob(f"{path.name}*")))
    return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in files]


def open_session(path: Path, machine: GraphMachine) -> Any:
    """An ONNX Runtime session. Raises ModelError, ResourceError."""
    with needs("onnxruntime", f"to run {path}"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.threads or usual_threads()
    options.log_severity_level = 4  # what it logs as an error is also raised
    # Otherwise, the threads wait actively for the next call, on the cores that the rest of a service needs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    gpu = [] if machine.gpu is None else [(_CUDA, {"device_id": machine.gpu})]
    try:
        with contextlib.nullcontext() if gpu else huge_pages():
            return onnxruntime.InferenceSession(str(path), options, providers=[*gpu, _CPU])
    except session_errors() as error:
        if is_out_of_memory(error):
            raise ResourceError(
                f"out of memory for {path}. Free some memory, or raise the limit (ulimit -v)"
            ) from error
        raise ModelError(
            f"{path} is not a graph that ONNX Runtime can run ({str(error).splitlines()[0][:200]}). Export "
            "the run again"
        ) from error


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


def is_out_of_memory(error: Exception) -> bool:
    """Whether one of `session_errors` means that memory is missing."""
    return any(sign in str(error) for sign in ("bad_alloc", "Failed to allocate memory"))


def precision_of(export: ExportMetadata) -> str:
    """The precision of the matrix products of a graph: fp32, fp16 or int8."""
    return export.format.partition("-")[2] or "fp32"  # as in onnx-int8


def usual_threads() -> int:
    """The number of threads without a setting: OMP_NUM_THREADS, or all usable cores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else available_cores()


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
