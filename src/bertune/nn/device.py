"""Owns the machine: device, precision, tokens per micro-batch. What "auto" chose is said and recorded."""

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bertune.config import MachineConfig
from bertune.errors import ConfigError

# Fixed, not taken from free memory: the cut of a step must be the same when the command is repeated.
_CPU_TOKENS, _GPU_TOKENS = 4096, 32768
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class Machine:
    """Where and how tensors are computed."""

    device: torch.device
    device_name: str
    train_precision: str  # fp32 or bf16 (autocast over fp32 weights)
    infer_precision: str
    tokens: int  # padded tokens per micro-batch
    threads: int

    def autocast(self, precision: str) -> contextlib.AbstractContextManager[object]:
        """A context in which matrix products run in `precision`."""
        if precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def make_machine(config: MachineConfig) -> Machine:
    """The machine that a configuration asks for. Raises ConfigError where it asks for what is not there."""
    device = _device(config.device)
    if config.threads != "auto":
        torch.set_num_threads(int(config.threads))
    native = _multiplies_bf16(device)
    if config.precision == "auto":
        # Prediction stays exact by default: its results are compared, thresholded and exported.
        train_precision, infer_precision = ("bf16" if native else "fp32"), "fp32"
    else:
        train_precision = infer_precision = config.precision
    if device.type == "cpu":
        _keep_freed_memory()
    default_tokens = _CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS
    return Machine(
        device=device,
        device_name=_device_name(device),
        train_precision=train_precision,
        infer_precision=infer_precision,
        tokens=default_tokens if config.tokens == "auto" else int(config.tokens),
        threads=torch.get_num_threads(),
    )


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Bit-equal repetition on a GPU too; on the CPU the operations used here are deterministic anyway."""
    if device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _keep_freed_memory() -> None:
    """Lets glibc reuse the memory of freed tensors: fresh pages for every temporary are what costs."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)  # a threshold would not do: glibc caps it at 32 MB
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"machine.device={name}: there is no such device; give auto, cpu, cuda or cuda:1"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"machine.device={name}: torch sees no CUDA device here; use machine.device=cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"machine.device={name}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0"
        )
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ConfigError(f"machine.device={name}: bertune runs on cpu, cuda and mps")
    return device


def _multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware itself multiplies bf16, rather than emulating it slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    if platform.machine().lower() in {"x86_64", "amd64"}:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
