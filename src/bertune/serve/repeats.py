"""Requests that begin like an earlier one, answered without parsing their heads again.

A client sends the same request line and headers with every request, except for the length of the body. The
head of a request that was answered is therefore remembered, byte for byte, with the function that answered
it. The next request with this head, on any connection, needs neither a parser nor an ASGI application: it has
the same path, the same token, and a body of the same length. uvicorn handles all other requests.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bertune.serve.connections import IS_COMPLETE, TimedProtocol
from bertune.serve.guard import CLIENT_GONE, Handled
from bertune.serve.replies import AnswerBody

# In the scope of a request that can be repeated: a function that remembers how to answer it.
REMEMBER = "bertune.remember"
_MOST_HEADS = 4096
_LONGEST_HEAD = 1024  # bytes
_END = b"\r\n\r\n"
# With these headers, the request does not end with a body whose length is announced, or it needs an answer
# before its body.
_OTHER_ENDS = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


@dataclass(frozen=True)
class Repeatable:
    """How to answer requests that have the same head."""

    answer: AnswerBody
    failed: Callable[[], Response]  # the response if `answer` raises an error
    handled: Callable[[Handled], None]  # called after the response


class Heads:
    """The heads of requests that were answered. The oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Repeatable]] = {}

    def remember(self, head: bytes, length: int, repeatable: Repeatable) -> None:
        """Remember how to answer requests with this head, and a body of this length in bytes."""
        if len(self._known) >= _MOST_HEADS:
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
        self._later = b""  # what the client has sent since
        self._is_last = False  # close the connection after this response
        self._is_gone = False

    def data_received(self, data: bytes) -> None:
        if self._repeated is not None:
            self._later += data
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
        """Close the connection once the current request is answered."""
        if self._repeated is None:
            super().shutdown()
        else:
            self._is_last = True

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
        start = time.perf_counter()
        self._repeated = self.loop.create_task(self._respond(repeatable, body, start))
        self.tasks.add(self._repeated)
        self._repeated.add_done_callback(partial(self._ended, repeatable, len(body), start))

    async def _respond(self, repeatable: Repeatable, body: bytes, start: float) -> None:
        response = await repeatable.answer(body)
        self._send(response)
        repeatable.handled(_handled(response.status_code, start, len(body)))

    def _ended(self, repeatable: Repeatable, size: int, start: float, task: asyncio.Task[None]) -> None:
        """Report an unexpected error, or that the client is gone."""
        self.tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            return
        status = CLIENT_GONE
        if not self._is_gone:
            self.logger.error("Exception in the application", exc_info=error)
            response = repeatable.failed()
            status = response.status_code
            self._is_last = True
            self._send(response)
        repeatable.handled(_handled(status, start, size))

    def _send(self, response: Response) -> None:
        """Send a response, and handle what the client has sent meanwhile."""
        self._repeated = None
        self.joining.write_now(self._rendered(response))
        if self._is_last:
            self.transport.close()
            return
        self.end_request()
        if self._later:
            data, self._later = self._later, b""
            self.flow.resume_reading()
            self.data_received(data)

    def _rendered(self, response: Response) -> bytes:
        """The bytes of a response, the same as uvicorn would send."""
        headers = [*self.server_state.default_headers, *response.raw_headers]
        if self._is_last:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return b"".join((STATUS_LINE[response.status_code], lines, b"\r\n", response.body))


def _handled(status: int, start: float, size: int) -> Handled:
    return Handled(status, time.perf_counter() - start, time.time(), size)
