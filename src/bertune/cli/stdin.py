"""Reserves standard input for the command that reads it: a library that prompts there gets end of file."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TextIO

_given: list[TextIO] = []


@contextlib.contextmanager
def kept_from_libraries() -> Iterator[None]:
    """An empty stream in the place of `sys.stdin` for the time of the block; `given` is the real one."""
    before = sys.stdin
    _given.append(before)
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before
        _given.pop()


def given() -> TextIO:
    """Standard input as the command got it."""
    return _given[-1] if _given else sys.stdin
