"""Owns stopping politely: Ctrl-C and SIGTERM set a flag that training looks at between steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from bertune.errors import Interrupted


class StopFlag:
    """Whether the user or the system asked training to stop."""

    def __init__(self) -> None:
        self.is_set = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise Interrupted(
                "stopped at once, as asked twice; what was saved before is whole: go on with --resume"
            )
        self.is_set = True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Catches SIGINT and SIGTERM for the time of the block; does nothing outside the main thread."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.signal(number, flag.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
