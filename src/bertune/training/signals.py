"""Stop training cleanly: signals such as Ctrl-C set a flag that training checks between steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from bertune.errors import Interrupted

# SIGHUP is sent when a terminal is closed, SIGUSR1 by job schedulers before the time limit.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")


class StopFlag:
    """Whether training has been asked to stop by a signal."""

    def __init__(self) -> None:
        self.is_set = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise Interrupted(
                "stopped immediately on the second signal; the last checkpoint is intact: continue with "
                "--resume"
            )
        self.is_set = True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Catch signals that end a process while the block runs. Does nothing outside the main thread.

    Ignored signals stay ignored, for example under `nohup`.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    caught = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, flag.handle) for number in caught}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
