"""Reserve standard input for the command; a library that tries to prompt the user reads end of file."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TextIO

_given: list[TextIO] = []


@contextlib.contextmanager
def kept_from_libraries() -> Iterator[None]:
    """Replace `sys.stdin` with an empty stream inside the block; `given` returns the real one."""
    before = sys.stdin
    _given.append(before)
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before
        _given.pop()


def given() -> TextIO:
    """The standard input of the process."""
    return _given[-1] if _given else sys.stdin
