"""HTTP connections that slow or silent clients cannot keep open: uvicorn's protocol with time limits.

uvicorn writes the head and the body of a response separately. Each write is a system call that wakes the
client, so this protocol sends both together, as soon as the response is complete.
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# An application can put a function into the scope of a request under this name. It is called if the client
# disconnects before the response is complete. Waiting for the ASGI message `http.disconnect` instead would
# take another task per request.
ON_DISCONNECT = "bertune.on_disconnect"
IS_COMPLETE = "bertune.is_complete"  # in the scope once the whole request has arrived
BODY = "bertune.body"  # in the scope while the application runs: the body, unless it is streamed
_MOST_HEADER_BYTES = 65_536
_LEAST_READ = 65_536  # bytes that a client must read per timeout while a response is being sent
_MOST_HELD = 65_536  # bytes that wait for further writes; more are sent at once
ACCEPTED_AT_ONCE = 32  # connections that asyncio accepts in one iteration of the event loop
_OTHER_FILES = 128  # files that the process opens besides connections
_REFUSED = 8 * ACCEPTED_AT_ONCE  # connections that are refused but not closed yet; it takes a few iterations
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
)


def most_connections() -> int:
    """The number of connections that the limit of open files permits; raises this limit if possible.

    If no file can be opened, asyncio stops accepting connections for a second, and logs every attempt.
    """
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit than it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else permitted_connections(soft)


def permitted_connections(files: int) -> int:
    """The number of connections if the process may open this many files: at least half of them."""
    return max(files // 2, files - _OTHER_FILES - _REFUSED)


class TimedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers do not arrive, and one whose response is not read.

    The time limit for both is `timeout_keep_alive` of uvicorn, which itself has no limit for either.
    Connections beyond `most_connections` get a 503 response and are closed.
    """

    most_connections = sys.maxsize

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None  # time of the event loop; None during a request
        self._header_bytes = 0
        self._is_in_headers = True
        self._is_in_request = False  # some of a request has arrived, but not all of it
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.joining = JoiningTransport(transport, self.loop)
        super().connection_made(self.joining)  # type: ignore[arg-type]
        if len(self.connections) > self.most_connections:
            self.joining.write(_TOO_MANY)
            self.joining.close()
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_read_timer()
        self._idle_since = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            # uvicorn only notifies the cycle of the last request that it has read.
            self._running.disconnected = True
            self._running.message_event.set()
            scope: Mapping[str, Any] = self._running.scope
            if (on_disconnect := scope.get(ON_DISCONNECT)) is not None:
                on_disconnect()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def is_between_requests(self) -> bool:
        """Whether every request was answered, and no byte of another one has arrived."""
        return (
            not self._is_in_request
            and not self._header_bytes
            and (self._running is None or self._running.response_complete)
        )

    def start_request(self) -> None:
        """Stop the timers of an idle connection."""
        self._idle_since = None
        self._stop_header_timer()

    def end_request(self) -> None:
        """Start the time limit until the next request."""
        self.server_state.total_requests += 1
        self._start_idle()

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes and self.transport:
            self._expect_headers()
            if self._header_bytes > _MOST_HEADER_BYTES:
                self.transport.abort()
        elif not self._is_in_headers and self._running is not None and self._running.response_complete:
            self._start_idle()  # the body of a request that was answered before it has arrived

    def on_message_begin(self) -> None:
        self._is_in_request = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        self._stop_header_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.scope[IS_COMPLETE] = True  # type: ignore[literal-required]
        if self.cycle is self._running:
            # A large body pauses reading, and then a disconnect would not be noticed.
            self.flow.resume_reading()
        self._is_in_headers = True
        self._is_in_request = False
        self._header_bytes = 0

    def on_response_complete(self) -> None:
        # Otherwise, the response would be sent after the requests that have arrived meanwhile were handled.
        self.joining.flush()
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # As in uvicorn, but with a timer that runs on during requests, not a new one for every response.
        self.flow.resume_reading()
        self.end_request()

    def _start_idle(self) -> None:
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close the connection if there was no request for some time; look again later if there was one."""
        self._idle_timer = None
        if self._idle_since is None:
            return  # a request is being answered, after which the timer starts again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_read_timer()
        super().resume_writing()

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _watch_reading(self, unsent: int) -> None:
        """Abort the connection unless the client reads some of the `unsent` bytes within the time limit."""

        def check() -> None:
            now = self.transport.get_write_buffer_size()
            if now > unsent - _LEAST_READ:
                self.transport.abort()
            else:
                self._watch_reading(now)

        self._read_timer = self.loop.call_later(self.timeout_keep_alive, check)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None


class JoiningTransport:
    """A transport that holds data back until `flush`, but not beyond an iteration of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0  # bytes that are held

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data together with what is written later, or now if many bytes are waiting."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST_HELD:
            self.flush()

    def write_now(self, data: bytes) -> None:
        """Send everything that is held, and then `data`."""
        self.flush()
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """The number of bytes that have not been sent yet."""
        return self._size + self._transport.get_write_buffer_size()

    def flush(self) -> None:
        """Send everything that is held."""
        if self._held:
            data = b"".join(self._held)
            self._held, self._size = [], 0
            if not self._transport.is_closing():  # the client may have disconnected since
                self._transport.write(data)
