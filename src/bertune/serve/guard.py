"""The limits of every request, before its body is parsed: token, body size and time, disconnected clients.

An ASGI middleware. It reads the whole body first, so that slow clients only occupy a buffer, and
cancels the handler if the client disconnects; `TimedProtocol` reports the disconnect.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bertune.serve.connections import BODY, IS_COMPLETE, ON_DISCONNECT
from bertune.serve.refusals import Overloaded, Refusal, TooLarge, TooSlow, Unauthorized

# Bodies that are still arriving may occupy this many times the largest allowed body.
_MOST_BUFFERED = 16
# Of a body that is refused, this many times the allowed size is read and discarded, because many clients only
# read the response once they have sent the body.
_MOST_DISCARDED = 8
CLIENT_GONE = 499  # in logs and metrics: the client disconnected before the response


@dataclass(frozen=True)
class Limits:
    """The limits of requests, and who may send them."""

    max_body: int  # bytes
    timeout: float  # seconds within which the body must arrive
    token: str | None  # bearer token; None for no authentication
    open_paths: frozenset[str]  # paths that need no token, such as /health
    open_prefixes: tuple[str, ...] = ()
    streamed: re.Pattern[str] | None = None  # paths to which a body of any size may be posted; they limit it


@dataclass(frozen=True)
class Handled:
    """The record of an answered request. It contains no texts."""

    status: int
    seconds: float
    end: float  # seconds since 1970
    body_bytes: int


class Guard:
    """Applies the limits to an application."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        respond: Callable[[str, Refusal], Response],
        on_handled: Callable[[Scope, Handled], None],
    ) -> None:
        self._app = app
        self._limits = limits
        self._respond = respond  # the response that reports a refusal of a request to a path
        self._on_handled = on_handled
        self._buffered = 0  # bytes of all bodies that are still arriving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        answer = _Answer(send)
        body = b""
        try:
            is_streamed = self._is_streamed(scope)
            try:
                body = b"" if is_streamed else await self._body(scope, receive)
            except Refusal as refusal:
                # The rest of the body is not read, so the connection cannot be used for another request.
                response = self._respond(scope["path"], refusal)
                response.headers["Connection"] = "close"
                await response(scope, receive, answer)
            else:
                if is_streamed:
                    await self._app(scope, self._in_time(receive), answer)
                else:
                    await self._handle(scope, body, receive, answer)
        except _Gone:
            answer.status = CLIENT_GONE
        finally:
            seconds = time.perf_counter() - start
            self._on_handled(scope, Handled(answer.status, seconds, time.time(), len(body)))

    def _is_streamed(self, scope: Scope) -> bool:
        """Whether the application reads the body itself, as it arrives."""
        paths = self._limits.streamed
        is_upload = paths is not None and scope["method"] == "POST" and paths.fullmatch(scope["path"])
        return bool(is_upload) and self._unauthorized(scope) is None

    def _in_time(self, receive: Receive) -> Receive:
        """`receive` for a streamed body, each part of which must arrive within the time limit."""

        async def receive_part() -> Message:
            try:
                async with asyncio.timeout(self._limits.timeout):
                    return await receive()
            except TimeoutError as error:
                raise TooSlow(
                    f"no part of the request body arrived within {self._limits.timeout:g} seconds "
                    "(serve.timeout)"
                ) from error

        return receive_part

    def _unauthorized(self, scope: Scope) -> Unauthorized | None:
        limits, path = self._limits, scope["path"]
        is_open = path in limits.open_paths or path.startswith(limits.open_prefixes)
        if limits.token is None or (is_open and scope["method"] in ("GET", "HEAD")):  # POST / predicts
            return None
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not given:
            return Unauthorized(
                "this service needs a bearer token. Send the header Authorization: Bearer TOKEN"
            )
        token = _token_of(given)
        is_right = token is not None and is_same_token(token, limits.token)
        return None if is_right else Unauthorized("the bearer token is wrong")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a request. Raises Refusal, and _Gone if the client disconnects."""
        headers = dict(scope["headers"])
        declared = int(headers.get(b"content-length", b"0"))
        refusal = self._unauthorized(scope) or (
            self._too_large() if declared > self._limits.max_body else None
        )
        if refusal is not None and b"expect" in headers:  # the client waits for permission to send the body
            raise refusal
        if refusal is None and IS_COMPLETE in scope:  # without a timer, which would take longer than this
            body = _bytes_of(await receive())
            if len(body) > self._limits.max_body:
                raise self._too_large()
            return body
        parts = _parts(receive)
        try:
            async with asyncio.timeout(self._limits.timeout):
                if refusal is None:
                    return await self._received(parts)
                await self._discard(parts)
                raise refusal
        except TimeoutError as error:
            raise TooSlow(
                f"the request body did not arrive within {self._limits.timeout:g} seconds (serve.timeout)"
            ) from error

    async def _received(self, parts: AsyncIterator[bytes]) -> bytes:
        """All parts of a body as one. Raises TooLarge, and Overloaded if too many bodies are arriving."""
        most = self._limits.max_body
        kept: list[bytes] = []
        size = 0
        try:
            async for part in parts:
                if size + len(part) > most:
                    await self._discard(parts)
                    raise self._too_large()
                kept.append(part)
                size += len(part)
                self._buffered += len(part)
                if self._buffered > _MOST_BUFFERED * most:
                    raise Overloaded("too many large request bodies are arriving. Try again later", 1)
        finally:
            self._buffered -= size
        return kept[0] if len(kept) == 1 else b"".join(kept)

    async def _discard(self, parts: AsyncIterator[bytes]) -> None:
        """Read the rest of a body that is refused, up to a limit."""
        size = 0
        async for part in parts:
            size += len(part)
            if size > _MOST_DISCARDED * self._limits.max_body:
                break

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the request body is larger than {self._limits.max_body / 1e6:g} MB (serve.max_body_mb). Split "
            "it into several requests"
        )

    async def _handle(self, scope: Scope, body: bytes, receive: Receive, answer: "_Answer") -> None:
        """Run the application; stop it if the client disconnects. Raises _Gone in that case."""
        task = asyncio.current_task()
        assert task is not None
        is_gone = is_read = False

        def stop() -> None:
            nonlocal is_gone
            is_gone = True
            task.cancel()

        async def receive_body() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        scope[ON_DISCONNECT] = stop
        scope[BODY] = body
        try:
            await self._app(scope, receive_body, answer)
        except asyncio.CancelledError:
            if not is_gone:
                raise
            task.uncancel()
            raise _Gone from None
        finally:
            del scope[ON_DISCONNECT], scope[BODY]


class _Gone(Exception):
    """The client disconnected."""


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a request body as they arrive. Raises _Gone if the client disconnects."""
    while True:
        message = await receive()
        yield _bytes_of(message)
        if not message.get("more_body", False):
            break


def _bytes_of(message: Message) -> bytes:
    """The part of a body in a message. Raises _Gone if the client disconnected."""
    if message["type"] == "http.disconnect":
        raise _Gone
    found: bytes = message.get("body", b"")
    return found


class _Answer:
    """Sends a response and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500  # until the response starts

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _token_of(header: bytes) -> bytes | None:
    """The bearer token in an Authorization header, or the password, for clients such as Label Studio."""
    scheme, _, credentials = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials.strip()
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return None


def is_same_token(given: bytes, token: str) -> bool:
    """Whether a token is the expected one, compared in a time that depends on neither."""
    # Hashing makes the lengths equal, which compare_digest would otherwise reveal.
    digests = (hashlib.sha256(value).digest() for value in (given, token.encode()))
    return hmac.compare_digest(*digests)
