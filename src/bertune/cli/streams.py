"""The standard streams of the command: UTF-8 in every locale, and no traceback if a stream is unusable."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import Any, cast

from bertune.errors import InputError


def prepare() -> None:
    """Configure the standard streams of this process, and replace those that are closed."""
    _open_what_is_closed()
    for stream, encoding, errors in (
        (sys.stdin, "utf-8", "strict"),
        # A path may contain bytes that are not UTF-8; they are written unchanged.
        (sys.stdout, "utf-8", "surrogateescape"),
        (sys.stderr, None, "backslashreplace"),  # keeps the encoding of the terminal's locale
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding or stream.encoding, errors=errors)
    if not isinstance(sys.stderr, _Messages):
        sys.stderr = cast(Any, _Messages(sys.stderr))


def refuse_closed_output(what: str) -> None:
    """Raise InputError if standard output is closed; called before anything is computed.

    `what` is the output that would be lost, for the message.
    """
    if is_closed():
        raise InputError(f"{_CLOSED}, so {what} cannot be written. Redirect it, for instance with > FILE")


def is_closed() -> bool:
    """Whether the caller closed standard output, for example with `>&-`."""
    return isinstance(sys.stdout, _ClosedOutput)


def abandon_unwritable() -> None:
    """Redirect standard output to the null device if it cannot be flushed.

    Otherwise the interpreter would fail with the same error while it exits.
    """
    try:
        sys.stdout.flush()
    except OSError:
        discard_output()
    except ValueError:
        return  # already closed


def discard_output() -> None:
    """Redirect standard output to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):  # without a file descriptor there is nothing to redirect
        os.dup2(null, sys.stdout.fileno())
    os.close(null)


_CLOSED = "standard output is closed"


class _ClosedOutput(io.TextIOBase):
    """Replaces a standard output that the caller closed; writing to it raises InputError."""

    encoding = "utf-8"
    errors = "strict"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise InputError(
            f"{_CLOSED}, so the results cannot be written. Redirect it, for instance with > FILE"
        )


class _Messages:
    """Standard error that ignores write errors, so that the command continues without messages."""

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
    """Open the null device for each standard stream that the caller closed, for example with `2>&-`.

    Otherwise the next opened file would get the free descriptor, and messages would be written to that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            opened = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, _ClosedOutput() if name == "stdout" else opened)
