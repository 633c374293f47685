"""Out-of-memory handling: repeat the computation with smaller micro-batches."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from bertune.errors import ResourceError
from bertune.nn.device import give_back_freed_memory

Result = TypeVar("Result")
# torch on a CPU, oneDNN, cuBLAS, and the CUDA runtime on a GPU that is already full report it only
# in the message of a RuntimeError.
_MESSAGES = (
    "CUDA error: out of memory",
    "can't allocate memory",
    "not enough memory",
    "Cannot allocate memory",  # tokenizers and safetensors
    "could not create a primitive",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_ADVICE = (
    "Try a smaller model.max_length, a smaller model, train.freeze, another machine.device, "
    "or a machine with more memory"
)


def with_fewer_tokens(compute: Callable[[int], Result], tokens: int, longest: int) -> tuple[Result, int]:
    """Call `compute(tokens)`, halving `tokens` whenever memory runs out.

    Returns the result and the number of tokens that was used. `longest` is the length of the longest
    sequence, the minimum of a micro-batch. Raises ResourceError if that does not fit either.
    """
    while True:
        try:
            return compute(tokens), tokens
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = _reason(error)
        # Outside the handler, because the exception references the frames and tensors that failed.
        if tokens <= longest:
            raise ResourceError(
                f"out of memory ({reason}) with one text of {longest:,} tokens per micro-batch. {_ADVICE}"
            )
        tokens = max(longest, tokens // 2)
        gc.collect()  # reference cycles may hold tensors that failed
        give_back_freed_memory()


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn out-of-memory errors that smaller micro-batches cannot avoid into ResourceError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(f"out of memory ({_reason(error)}). {_ADVICE}") from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception means that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _MESSAGES)
