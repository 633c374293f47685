"""Requests with the same head as an earlier one, answered without parsing it again.

A client sends the same request line and headers with every request, except for the length of the body. The
service therefore remembers the heads of requests that were answered with 200, byte for byte, with the
functions that answered them. The next request with such a head, on any connection, needs neither a parser
nor an ASGI application: it has the same path, the same token, and a body of the same length. uvicorn handles
all other requests, such as those with a long head or in several parts.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bertune.serve.connections import IS_COMPLETE, TimedProtocol
from bertune.serve.guard import CLIENT_GONE, Handled
from bertune.serve.replies import PathAnswer

# In the scope of a request that can be repeated: a function that remembers how to answer it.
REMEMBER = "bertune.remember"
# Several clients with bodies of some hundred different lengths. Together, the heads have at most 4 MiB.
_MOST_HEADS = 4096
_LONGEST_HEAD = 1024  # bytes
_END = b"\r\n\r\n"
# With these headers, the body has no declared length, or the client waits for an interim response before it
# sends the body.
_OTHER_ENDS = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


@dataclass(frozen=True)
class Repeatable:
    """How to answer requests that have the same head."""

    answer: PathAnswer  # the response must have a body; it is not streamed, and has no background task
    failed: Callable[[], Response]  # the response if `answer` raises an error
    handled: Callable[[Handled], None]  # called after the response


class Heads:
    """The heads of requests that were answered. The oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Repeatable]] = {}

    def remember(self, head: bytes, length: int, repeatable: Repeatable) -> None:
        """Remember how to answer requests with this head, and with a body of `length` bytes."""
        if head not in self._known and len(self._known) >= _MOST_HEADS:
            del self._known[next(iter(self._known))]
        self._known[head] = length, repeatable

    def find(self, data: bytes) -> tuple[Repeatable, bytes] | None:
        """How to answer a request, and its body; None unless `data` is one request with a known head."""
        end = data.find(_END) + len(_END)
        length, repeatable = self._known.get(data[:end], (-1, None))
        return (repeatable, data[end:]) if repeatable is not None and len(data) == end + length else None


class RepeatingProtocol(TimedProtocol):
    """Answers requests with known heads itself. Subclasses set `heads`, which all connections share."""

    heads: Heads

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._repeated: asyncio.Task[None] | None = None  # the request that is being answered
        self._is_sent = False  # its response
        self._later = b""  # what the client has sent since
        self._is_stopping = False  # the service
        self._is_last = False  # the response announces that the connection will be closed
        self._is_gone = False

    def data_received(self, data: bytes) -> None:
        if self._repeated is not None:
            self._later += data
            if len(self._later) > HIGH_WATER_LIMIT:  # below, to notice if the client disconnects
                self.flow.pause_reading()
        elif not self.is_between_requests:
            super().data_received(data)
        elif not self.flow.write_paused and (found := self.heads.find(data)) is not None:
            self._answer(*found)
        else:
            super().data_received(data)
            self._let_remember(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_gone = True
        self._later = b""
        if self._repeated is not None:
            self._repeated.cancel()

    def shutdown(self) -> None:
        """Close the connection once the requests that have arrived are answered."""
        self._is_stopping = True
        if self._repeated is None:
            super().shutdown()

    def _let_remember(self, data: bytes) -> None:
        """Let the application remember how it answers a request, if `data` was exactly this request."""
        scope: dict[str, Any] | None = self.scope  # type: ignore[assignment]
        if not scope or IS_COMPLETE not in scope or not self.cycle.keep_alive:
            return
        end = data.find(_END) + len(_END)
        length = len(data) - end
        headers = dict(scope["headers"])
        if (
            data.startswith(b"POST ")
            and end <= _LONGEST_HEAD
            and headers.get(b"content-length") == str(length).encode()
            and _OTHER_ENDS.isdisjoint(headers)
        ):
            scope[REMEMBER] = partial(self.heads.remember, data[:end], length)

    def _answer(self, repeatable: Repeatable, body: bytes) -> None:
        self.start_request()
        self._is_sent = False
        start = time.perf_counter()
        self._repeated = self.loop.create_task(self._respond(repeatable, body, start))
        self.tasks.add(self._repeated)
        self._repeated.add_done_callback(partial(self._ended, repeatable, len(body), start))

    async def _respond(self, repeatable: Repeatable, body: bytes, start: float) -> None:
        response = await repeatable.answer(body)
        self._send(response)
        repeatable.handled(_handled(response.status_code, start, len(body)))

    def _ended(self, repeatable: Repeatable, size: int, start: float, task: asyncio.Task[None]) -> None:
        """Report an error if there was one, and handle what the client has sent meanwhile."""
        self.tasks.discard(task)
        self._repeated = None
        if task.cancelled() and self._is_gone:
            repeatable.handled(_handled(CLIENT_GONE, start, size))
        elif (error := asyncio.CancelledError() if task.cancelled() else task.exception()) is not None:
            self.logger.error("Exception in the application", exc_info=error)
            if not self._is_sent:
                self._is_stopping, self._later = True, b""
                response = repeatable.failed()
                self._send(response)
                repeatable.handled(_handled(response.status_code, start, size))
        if self._is_last:
            self.transport.close()
        elif not self._is_gone:
            self._go_on()

    def _go_on(self) -> None:
        self.end_request()
        if self._later:
            data, self._later = self._later, b""
            self.flow.resume_reading()
            self.data_received(data)
        if self._is_stopping:
            self.shutdown()

    def _send(self, response: Response) -> None:
        """Send a response, with the same bytes as uvicorn."""
        headers = [*self.server_state.default_headers, *response.raw_headers]
        if self._is_stopping and not self._later:
            self._is_last = True
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        head = b"".join((STATUS_LINE[response.status_code], lines, b"\r\n"))
        self._is_sent = True
        self.joining.write_now(head + response.body)


def _handled(status: int, start: float, size: int) -> Handled:
    return Handled(status, time.perf_counter() - start, time.time(), size)
