"""Metrics, drift and the access log, written for several requests at a time.

Computing a text displaces everything else from the caches of a CPU core. What the service records about a
request then takes several times as long as for a request right after another one.
"""

import asyncio
from collections import deque
from collections.abc import Callable

_TOGETHER = 48  # entries; a request has three
_LATEST = 0.1  # seconds after the first of them


class Bookkeeping:
    """Functions that record something about requests, and that nobody waits for.

    All methods are called in the thread of the event loop.
    """

    def __init__(self) -> None:
        self._entries: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entry: Callable[[], None]) -> None:
        """Call a function soon, after others that were added before."""
        self._entries.append(entry)
        if len(self._entries) == _TOGETHER:
            asyncio.get_running_loop().call_soon(self.settle)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATEST, self.settle)

    def settle(self) -> None:
        """Call all functions now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._entries:  # after an error, which the event loop logs, the others remain
            self._entries.popleft()()
