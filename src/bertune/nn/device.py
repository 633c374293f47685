"""Owns the machine: device, precision, tokens per micro-batch. What "auto" chose is said and recorded."""

import contextlib
import ctypes
import gc
import mmap
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from bertune.config import MachineConfig
from bertune.errors import ConfigError

# Tokens of a micro-batch where memory is plenty: more would be no faster, and coarse steps down from here
# keep the cut of a step the same when the command is repeated.
_CPU_TOKENS, _GPU_TOKENS, _FEWEST_TOKENS = 4096, 32768, 512
_BYTES_PER_TOKEN = 500_000  # what training keeps for the backward pass: a base-size encoder's, generously
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class Machine:
    """Where and how tensors are computed."""

    device: torch.device
    device_name: str
    precision: str  # of products: fp32, or bf16 over fp32 weights
    micro_batch_tokens: int  # padded tokens per micro-batch
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context in which matrix products run in this machine's precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def make_machine(config: MachineConfig) -> Machine:
    """The machine that a configuration asks for. Raises ConfigError where it asks for what is not there."""
    device = _device(config.device)
    if config.threads != "auto":
        torch.set_num_threads(int(config.threads))
    native = _multiplies_bf16(device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native else "fp32"
    return Machine(
        device=device,
        device_name=_device_name(device),
        precision=precision,
        micro_batch_tokens=(
            _tokens(device) if config.micro_batch_tokens == "auto" else int(config.micro_batch_tokens)
        ),
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


def give_back_freed_memory() -> None:
    """Hands memory that no tensor uses any more back to the system."""
    # Young cycles alone: a walk over all that torch and transformers hold takes a quarter of a second.
    gc.collect(1)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def give_back_pages(tensor: Tensor) -> None:
    """Hands the memory of a tensor that nobody reads any more back to the system, where its storage lives on.

    What it holds is lost. The storage lives on where tensors of one file share a mapping.
    """
    if tensor.device.type != "cpu" or not _has_glibc():
        return
    first = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def tune_allocator() -> None:
    """Makes the C library keep freed memory for the next tensor, for this whole process and from here on.

    Fresh pages for every temporary are what costs on a CPU. The commands that train or predict call this; the
    Python functions do not, because a process that bertune is only a part of may want its memory back. Does
    nothing without glibc.
    """
    if _has_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)  # a threshold would not do: glibc caps it at 32 MB
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


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


def _tokens(device: torch.device) -> int:
    """Padded tokens of a micro-batch: a power of two that takes at most half of what is free."""
    if device.type == "cuda":
        free, tokens = torch.cuda.mem_get_info(device)[0], _GPU_TOKENS
    else:
        free, tokens = psutil.virtual_memory().available, _CPU_TOKENS
    while tokens > _FEWEST_TOKENS and tokens * _BYTES_PER_TOKEN > free / 2:
        tokens //= 2
    return tokens


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
