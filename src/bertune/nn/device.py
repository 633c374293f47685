"""The machine: device, precision, tokens per micro-batch and threads. Resolves the "auto" settings."""

import contextlib
import ctypes
import gc
import mmap
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor

from bertune.allocator import has_glibc
from bertune.config import MachineConfig
from bertune.errors import ConfigError, counted

# Tokens of a micro-batch with enough memory: more would not be faster. With less memory they are halved, so
# that repeating a command usually cuts a step into the same micro-batches.
_CPU_TOKENS, _GPU_TOKENS, _FEWEST_TOKENS = 4096, 32768, 512
_BYTES_PER_TOKEN = 500_000  # activations for the backward pass: a generous estimate for a base-size encoder


@dataclass(frozen=True)
class Machine:
    """The device and the precision of the computation, and the size of its micro-batches."""

    device: torch.device
    device_name: str
    precision: str  # precision of matrix products: fp32, or bf16 with fp32 weights
    micro_batch_tokens: int  # padded tokens per micro-batch
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context in which matrix products use the precision of this machine."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def make_machine(config: MachineConfig) -> Machine:
    """Resolve the machine settings. Raises ConfigError if the device is not available."""
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
    """Bitwise reproducible results on a GPU. On a CPU, all operations used here are deterministic."""
    if device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    options: Any = torch.utils.deterministic
    fills = options.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # By default, torch then fills every new tensor with NaN: 745 of 1,673 kernels in a step of BERT-base.
    options.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        options.fill_uninitialized_memory = fills


def give_back_freed_memory() -> None:
    """Return memory that no tensor uses any more to the system."""
    # Young generations only: traversing all objects of torch and transformers takes 0.25 s.
    gc.collect(1)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def give_back_pages(tensor: Tensor) -> None:
    """Return the memory of an unused tensor to the system, even if its storage is still referenced.

    The values of the tensor are lost. The storage stays referenced if tensors of one file share a mapping.
    """
    if tensor.device.type != "cpu" or not has_glibc():
        return
    first = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"machine.device={name}: unknown device. Use auto, cpu, cuda, or a device such as cuda:1"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"machine.device={name}: torch found no CUDA device. Use machine.device=cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = counted(torch.cuda.device_count(), "CUDA device")
        raise ConfigError(f"machine.device={name}: torch found {found}. Device numbers start at cuda:0")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ConfigError(f"machine.device={name}: unsupported device. Use cpu, cuda or mps")
    return device


def _tokens(device: torch.device) -> int:
    """Padded tokens of a micro-batch: a power of two that uses at most half of the free memory."""
    if device.type == "cuda":
        free, tokens = torch.cuda.mem_get_info(device)[0], _GPU_TOKENS
    else:
        free, tokens = psutil.virtual_memory().available, _CPU_TOKENS
    while tokens > _FEWEST_TOKENS and tokens * _BYTES_PER_TOKEN > free / 2:
        tokens //= 2
    return tokens


def _multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 natively, without slow emulation."""
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
