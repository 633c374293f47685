"""The standard streams of the command: UTF-8 whatever the locale, and never a reason for a traceback."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import Any, cast

from bertune.errors import InputError


def prepare() -> None:
    """Makes the standard streams of this process as the command needs them, also those that are closed."""
    _open_what_is_closed()
    for stream, encoding, errors in (
        (sys.stdin, "utf-8", "strict"),
        # A path may hold bytes that are not UTF-8; they are written as they are.
        (sys.stdout, "utf-8", "surrogateescape"),
        (sys.stderr, None, "backslashreplace"),  # a terminal shows what its locale has
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding or stream.encoding, errors=errors)
    if not isinstance(sys.stderr, _Messages):
        sys.stderr = cast(Any, _Messages(sys.stderr))


def refuse_closed_output(what: str) -> None:
    """Raises InputError where standard output is closed, before anything is computed. `what` is lost then."""
    if is_closed():
        raise InputError(f"{_CLOSED}, so {what} cannot be written. Open it, for instance with > FILE")


def is_closed() -> bool:
    """Whether the caller closed standard output, as by `>&-`."""
    return isinstance(sys.stdout, _ClosedOutput)


def abandon_unwritable() -> None:
    """Redirects standard output to the null device if what is left of it cannot be written, so that the
    interpreter does not fail in the same way while it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        discard_output()
    except ValueError:
        return  # it was closed on the way


def discard_output() -> None:
    """Redirects standard output to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):  # it is not a file of the operating system
        os.dup2(null, sys.stdout.fileno())
    os.close(null)


_CLOSED = "standard output is closed"


class _ClosedOutput(io.TextIOBase):
    """Stands for a standard output that the caller closed: nothing can be written to it."""

    encoding = "utf-8"
    errors = "strict"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise InputError(f"{_CLOSED}, so the results cannot be written. Open it, for instance with > FILE")


class _Messages:
    """Standard error that never fails: a message that cannot be written is no reason to stop."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _open_what_is_closed() -> None:
    """The null device for each standard stream that the caller closed, as by `2>&-`.

    Otherwise the next file that is opened gets its number, and messages are written into that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            opened = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, _ClosedOutput() if name == "stdout" else opened)
