"""Metrics, drift and the access log, recorded for several requests at a time.

Computing a text evicts other data from the caches of a CPU core. Recording a request right afterwards takes
several times as long as recording it right after another request.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable

from bertune.serve.logs import LOGGER, Logged

_LOG = logging.getLogger(LOGGER)
_TOGETHER = 48  # entries; a request has three
_LATEST = 0.1  # seconds after the first of them
_LONGEST = 0.002  # seconds for which recording may delay requests


class Bookkeeping:
    """Functions that record requests, and that no response depends on. Their errors are logged.

    All methods are called in the thread of the event loop, or after it has stopped.
    """

    def __init__(self) -> None:
        self._entries: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None  # the next call of `_settle_some`

    def add(self, entry: Callable[[], None]) -> None:
        """Call a function soon, after others that were added before."""
        self._entries.append(entry)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(_LATEST, self._settle_some)
        elif len(self._entries) == _TOGETHER:
            self._settle_next()

    def settle(self) -> None:
        """Call all functions now."""
        self._settle_until(math.inf)

    def _settle_some(self) -> None:
        """Call functions for a short time, and the others in a later iteration of the event loop."""
        self._next = None
        self._settle_until(time.monotonic() + _LONGEST)
        if self._entries:
            self._settle_next()

    def _settle_until(self, end: float) -> None:
        while self._entries and time.monotonic() < end:
            with Logged(_LOG):  # one block for many entries, left at an error
                while self._entries and time.monotonic() < end:
                    self._entries.popleft()()

    def _settle_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = asyncio.get_running_loop().call_soon(self._settle_some)
