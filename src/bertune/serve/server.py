"""Run the service: listen, load the models in the background, answer until a signal arrives."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bertune.config import ServeConfig
from bertune.errors import ConfigError, Interrupted
from bertune.serve.app import make_app
from bertune.serve.connections import ACCEPTED_AT_ONCE, most_connections
from bertune.serve.formats.systemone import refuse_other_fallback
from bertune.serve.logs import LOGGER, described, event
from bertune.serve.metrics import Metrics
from bertune.serve.opening import open_models
from bertune.serve.parallel import ComputeThreads
from bertune.serve.refusals import Unavailable
from bertune.serve.repeats import Heads, RepeatingProtocol
from bertune.serve.replies import ErrorBodies
from bertune.serve.service import Service
from bertune.serve.sources import Source
from bertune.settings import resolve

_LOG = logging.getLogger(LOGGER)
_TOKEN = "BERTUNE_TOKEN"
# Seconds that an idle connection stays open, which are also the limit for headers and for slow readers.
# The announced limit is lower, so that clients do not send a request while the connection is being closed.
_KEEP_ALIVE, _ANNOUNCED = 30, 25
_LOOPBACK = ("127.", "::1")
_QUEUE = 2048  # connections that wait until they are accepted

Load = Callable[[ComputeThreads], Service]  # called in the thread that will compute all batches


def serve(
    sources: SequenceOf[Source],
    settings: Mapping[str, Mapping[str, Any]],
    host: str = "127.0.0.1",
    port: int = 8000,
    fallback: str | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve models until SIGTERM or SIGINT; requests in flight are answered first.

    `on_ready` is called with the URL when all models are loaded. Raises InputError if the address cannot be
    used or a model cannot be loaded, and Interrupted after a second signal.
    """
    config = resolve(settings)
    if not sources:
        raise ConfigError("no model to serve. Pass a run or an export: bertune serve RUN")
    token = read_token(config.serve)
    if fallback is not None:
        refuse_other_fallback(fallback)  # before the models are loaded
    with listening(host, port) as listener:
        address = listener.getsockname()[0]
        if token is None and not address.startswith(_LOOPBACK):
            event(
                _LOG, logging.WARNING, "anyone who can reach this address can use the service; set a token",
                host=address,
            )  # fmt: skip

        def load(threads: ComputeThreads) -> Service:
            metrics = Metrics()
            models = open_models(sources, config, settings, metrics, threads)
            # Exclude the objects that exist by now from later garbage collections: a full one would take
            # 70 ms, during which no request is answered.
            gc.collect()
            gc.freeze()
            return Service(models, config.serve, metrics, fallback, token)

        server = Server(load, config.serve, listener, on_ready, ComputeThreads.of(config))
        try:
            server.run()
        finally:
            gc.unfreeze()
        if server.was_forced:
            raise Interrupted("stopped before all requests were answered, because of a second signal")


class Server:
    """A service on a socket, which answers 503 until its models are loaded."""

    def __init__(
        self,
        load: Load,
        config: ServeConfig,
        listener: socket.socket,
        on_ready: Callable[[str], None] = lambda url: None,
        threads: ComputeThreads | None = None,
    ) -> None:
        """`threads` compute the batches; by default, the usual ones."""
        self.url = url_of(listener)
        self._listener = listener
        self._loading = _Loading(load, lambda: on_ready(self.url), self.stop, threads or ComputeThreads())
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._loading,
                # uvloop would send a response only after it has read, and started, all requests that wait.
                loop="asyncio",
                http=_protocol(most_connections()),
                backlog=ACCEPTED_AT_ONCE,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # nothing depends on the address of the client
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                headers=[("Keep-Alive", f"timeout={_ANNOUNCED}")],
                timeout_graceful_shutdown=int(config.timeout) + 1,
            )
        )

    def run(self) -> None:
        """Answer requests until `stop` is called or a signal arrives. Raises the errors of `load`."""
        try:
            self._uvicorn.run(sockets=[self._listener])
        finally:
            self._loading.close()

    def stop(self) -> None:
        """Accept no more connections, finish the requests in flight, and return from `run`."""
        self._uvicorn.should_exit = True

    @property
    def open_connections(self) -> int:
        """The number of connections to clients."""
        return len(self._uvicorn.server_state.connections)

    @property
    def was_forced(self) -> bool:
        """Whether a second signal stopped it before all requests were answered."""
        return self._uvicorn.was_forced


class _Loading:
    """An ASGI application that answers 503 until the models are loaded, and is then the service."""

    def __init__(
        self,
        load: Load,
        on_ready: Callable[[], None],
        on_failure: Callable[[], None],
        threads: ComputeThreads,
    ) -> None:
        self._load = load
        self._threads = threads
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._service: Service | None = None
        self._app: ASGIApp | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        else:
            refusal = Unavailable("the models are being loaded. Try again later")
            await ErrorBodies({}).response(scope["path"], refusal)(scope, receive, send)

    def close(self) -> None:
        """Stop the models. Raises the error because of which they could not be loaded, if any."""
        if self._service is not None:
            self._service.close()
        self._threads.shutdown()
        if self._task is not None and self._task.done():
            self._task.result()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self._task = asyncio.create_task(self._run())
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(_log_unexpected)
            self._service = await loop.run_in_executor(self._threads.single, self._load, self._threads)
            self._app = make_app(self._service)
            self._on_ready()
        finally:
            if self._app is None:
                self._on_failure()


def _log_unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a callback. The handler of asyncio would also log the arguments of the callback."""
    error = context.get("exception")
    event(_LOG, logging.ERROR, "unexpected error", **({} if error is None else described(error)))


def _protocol(most: int) -> type[RepeatingProtocol]:
    """The protocol with a limit of connections; uvicorn creates the instances."""

    class LimitedProtocol(RepeatingProtocol):
        most_connections = most
        heads = Heads()

    return LimitedProtocol


class _Uvicorn(uvicorn.Server):
    """uvicorn's server with a longer queue. It does not send itself the signal again after shutting down."""

    was_forced = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # For asyncio, the backlog is both the length of the queue and the number that it accepts at once.
        for listener in sockets or ():
            listener.listen(_QUEUE)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        is_main = threading.current_thread() is threading.main_thread()
        handled = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        for number in handled:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        self.was_forced = self.force_exit = self.should_exit
        self.should_exit = True


def read_token(config: ServeConfig) -> str | None:
    """The bearer token from serve.token_file or the environment; None without one. Raises ConfigError."""
    if config.token_file is None:
        found, where = os.environ.get(_TOKEN), f"the environment variable {_TOKEN}"
        if found is None:
            return None
    else:
        where = f"serve.token_file={config.token_file}"
        try:
            found = Path(config.token_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"{where} cannot be read: {reason}. Set it to a text file that contains the token"
            ) from error
    token = found.strip()
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise ConfigError(
            f"{where} must contain a single token: printable ASCII characters without spaces. "
            "Correct the token"
        )
    return token


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound to an address; port 0 picks a free one. Raises ConfigError."""
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise ConfigError(_no_address(place, host)) from error
    with socket.socket(family, kind, protocol) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
                raise ConfigError(_no_address(place, host)) from error
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"cannot listen on {place}: {reason}. Use another --port, or --port 0 for any free port"
            ) from error
        yield listener


def _no_address(place: str, host: str) -> str:
    return (
        f"cannot listen on {place}: {host} is not an address of this machine. Set --host to one of its "
        "addresses, or to 0.0.0.0 for all of them"
    )


def url_of(listener: socket.socket) -> str:
    """The URL of a service on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
