"""Tune the memory allocator of the C library."""

import ctypes
import platform
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h


def tune_allocator() -> None:
    """Make the C library keep freed memory for the next tensor, for the rest of the process.

    On a CPU, fresh memory pages for every temporary tensor are expensive. The commands that train or predict
    call this function. The Python functions do not, because the calling process may need the memory itself.
    Does nothing without glibc.
    """
    if has_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)  # a threshold is not enough: glibc caps it at 32 MB
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def release_memory() -> None:
    """Return freed memory to the system, after work that needed much more than usual. Takes milliseconds."""
    if has_glibc():
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


def has_glibc() -> bool:
    """Whether the C library is glibc, whose functions are then available through ctypes."""
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
