"""Out-of-memory errors as several devices raise them."""

from collections.abc import Callable

import torch

_OF_THE_CPU = "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"
ERRORS: dict[str, Callable[[], Exception]] = {
    "of a GPU": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "of a CPU": lambda: RuntimeError(f"{_OF_THE_CPU} to allocate 8 bytes.\nException raised from …"),
    "of Windows": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8."),
    "of Python": MemoryError,
}
