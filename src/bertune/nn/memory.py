"""Owns what happens when memory runs out: the work is done again in smaller pieces."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from bertune.errors import ResourceError
from bertune.nn.device import give_back_freed_memory

Result = TypeVar("Result")
# Torch on a CPU, oneDNN and cuBLAS have no exception of their own for it.
_SAID_OTHERWISE = (
    "can't allocate memory",
    "not enough memory",
    "could not create a primitive",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_REMEDIES = "a smaller model.max_length, a smaller model, train.freeze, or a machine with more memory"


def with_fewer_tokens(compute: Callable[[int], Result], tokens: int, longest: int) -> tuple[Result, int]:
    """What `compute(tokens)` gives, and the tokens it took: halved as often as memory runs out.

    `longest` is the longest sequence: a micro-batch cannot be smaller. Raises ResourceError then.
    """
    while True:
        try:
            return compute(tokens), tokens
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = _reason(error)
        # Outside the handler: the exception holds the frames, and with them the tensors, that failed.
        if tokens <= longest:
            raise ResourceError(
                f"memory ran out ({reason}) with one text of {longest:,} tokens at a time. Usual remedies: "
                f"{_REMEDIES}"
            )
        tokens = max(longest, tokens // 2)
        gc.collect()  # tensors that failed may hang in cycles of any age
        give_back_freed_memory()


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Raises ResourceError where memory runs out and fewer tokens at a time would not help."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(f"memory ran out ({_reason(error)}). Usual remedies: {_REMEDIES}") from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _SAID_OTHERWISE)
