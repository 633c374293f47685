"""Clients for benchmarks/serving_soak.py: ordinary ones, slow ones, and those that break the rules.

Every client is a coroutine that returns the status of the answer, or "left" if it disconnected itself. `run`
reports "closed" if the server closed the connection without an answer. `HOSTILE` lists what each may get.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from serving_load import differs

_BUSY = {"200", "429", "503"}  # an answer, or a refusal because of the load
_BUFFER, _SMALL_BUFFER = 65_536, 4096  # bytes
_PAUSE = 0.05  # seconds between the parts that a slow client sends or reads


class WrongAnswerError(Exception):
    """A prediction that is not that of `Model.predict`, or an answer that does not follow its own rules."""


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Target:
    """The server, the texts that clients send to it, and the answers that it must give."""

    host: str
    port: int
    token: str
    texts: list[str]
    answers: list[dict[str, float]]
    tolerance: float
    max_texts: int
    max_body: int
    patience: float  # seconds after which a client gives up waiting, which must not happen
    random: random.Random = field(default_factory=lambda: random.Random(0))
    idle: list[Connection] = field(default_factory=list)
    answered_texts: int = 0  # in correct predictions

    async def open(self, receive_buffer: int | None = None) -> Connection:
        """A new connection; `receive_buffer` limits the bytes that wait to be read."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        # The reader holds twice the limit, and then lets the socket fill.
        reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or _BUFFER)
        return Connection(reader, writer)

    @contextlib.asynccontextmanager
    async def connected(self, receive_buffer: int | None = None) -> AsyncIterator[Connection]:
        """A new connection until the end of the block."""
        connection = await self.open(receive_buffer)
        try:
            yield connection
        finally:
            connection.close()

    async def kept(self) -> Connection:
        """A connection that was kept open after an earlier request, or a new one.

        As clients should (RFC 9112, 9.3), it does not use a connection that was idle for longer than the
        server has announced, because the server may be closing it.
        """
        while self.idle:
            connection = self.idle.pop()
            if not connection.reader.at_eof() and time.monotonic() < connection.usable_until:
                return connection
            connection.close()
        return await self.open()

    def request(
        self, body: bytes, path: str = "/predict", method: str = "POST", token: str | None = None
    ) -> bytes:
        """A whole request with the right token, unless another is given."""
        return self.head(len(body), path, method, token) + body

    def head(
        self, length: int, path: str = "/predict", method: str = "POST", token: str | None = None
    ) -> bytes:
        """The head of a request."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.token if token is None else token}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        ).encode()

    def some(self, most: int) -> tuple[bytes, list[dict[str, float]]]:
        """The body of a request with some texts, and their answers."""
        chosen = [self.random.randrange(len(self.texts)) for _ in range(self.random.randint(1, most))]
        body = {"inputs": [[self.texts[i]] for i in chosen], "truncate": True}
        return json.dumps(body).encode(), [self.answers[i] for i in chosen]

    def check(self, reply: Reply, expected: list[dict[str, float]]) -> str:
        """The status of a reply. Raises WrongAnswerError."""
        if reply.status == "200":
            if differs(reply.body, expected)[0] > self.tolerance:
                raise WrongAnswerError(f"expected {expected[:2]}, got {reply.body[:300]!r}")
            self.answered_texts += len(expected)
        return checked(reply).status


def checked(reply: Reply) -> Reply:
    """A reply that follows the rules of refusals. Raises WrongAnswerError."""
    if reply.status in ("429", "503") and not int(reply.headers.get("retry-after", "0")) >= 1:
        raise WrongAnswerError(f"{reply.status} without Retry-After: {reply.headers}")
    if reply.status == "401" and "www-authenticate" not in reply.headers:
        raise WrongAnswerError(f"401 without WWW-Authenticate: {reply.headers}")
    if reply.status >= "400" and not json.loads(reply.body).get("error"):
        raise WrongAnswerError(f"{reply.status} without a message: {reply.body[:300]!r}")
    return reply


@dataclass
class Connection:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    usable_until: float = math.inf  # time.monotonic() after which the server may close it

    async def reply(self, part: int | None = None) -> Reply:
        """The next response, read slowly if `part` limits the bytes that are read at a time.

        Raises IncompleteReadError or OSError if the connection is closed.
        """
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        body = b""
        while part is not None and len(body) + part < length:
            body += await self.reader.readexactly(part)
            await asyncio.sleep(_PAUSE)
        return Reply(first.split()[1], headers, body + await self.reader.readexactly(length - len(body)))

    async def exchange(self, request: bytes) -> Reply:
        """Send a request and return the response."""
        self.writer.write(request)
        await self.writer.drain()
        return await self.reply()

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()

    def reset(self) -> None:
        """Close the connection with RST instead of FIN, as a client that crashes."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def ordinary(target: Target, most: int = 32) -> str:
    """Some texts on a connection that is kept open."""
    body, expected = target.some(most)
    connection = await target.kept()
    reply = None
    try:
        reply = await connection.exchange(target.request(body))
    finally:
        if reply is None:  # an error, or cancelled
            connection.close()
    if reply.headers.get("connection") == "close":
        connection.close()
    else:
        announced = float(reply.headers["keep-alive"].removeprefix("timeout="))
        connection.usable_until = time.monotonic() + announced
        target.idle.append(connection)
    return target.check(reply, expected)


async def slow_writer(target: Target) -> str:
    """A body that arrives in small parts."""
    body, expected = target.some(8)
    async with target.connected() as connection:
        request = target.request(body)
        size = max(1, len(request) // 40)
        for start in range(0, len(request), size):
            connection.writer.write(request[start : start + size])
            await connection.writer.drain()
            await asyncio.sleep(_PAUSE)
        reply = await connection.reply()
        return target.check(reply, expected)


async def stalled_body(target: Target) -> str:
    """A body of which only the first half arrives, on a connection that stays open."""
    body, _ = target.some(8)
    async with target.connected() as connection:
        reply = await connection.exchange(target.head(2 * len(body)) + body)
        return checked(reply).status


async def stalled_head(target: Target) -> str:
    """A head that never ends."""
    async with target.connected() as connection:
        connection.writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
        reply = await connection.reply()
        return reply.status


async def slow_reader(target: Target) -> str:
    """A large response that is read in small parts through small buffers."""
    chosen = [target.random.randrange(len(target.texts)) for _ in range(target.max_texts)]
    body = {"inputs": [[target.texts[i]] for i in chosen], "truncate": True}
    async with target.connected(_SMALL_BUFFER) as connection:
        connection.writer.write(target.request(json.dumps(body).encode()))
        reply = await connection.reply(_SMALL_BUFFER // 4)
        return target.check(reply, [target.answers[i] for i in chosen])


async def leaves_in_request(target: Target) -> str:
    """Disconnects in the middle of the body."""
    body, _ = target.some(8)
    async with target.connected() as connection:
        connection.writer.write(target.head(len(body)) + body[: len(body) // 2])
        await asyncio.sleep(_PAUSE)
        connection.close() if target.random.random() < 0.5 else connection.reset()
        return "left"


async def leaves_before_answer(target: Target) -> str:
    """Disconnects after the request, before the answer."""
    body, _ = target.some(32)
    async with target.connected() as connection:
        connection.writer.write(target.request(body))
        await asyncio.sleep(target.random.random() * _PAUSE)
        connection.close() if target.random.random() < 0.5 else connection.reset()
        return "left"


async def oversized(target: Target) -> str:
    """A body that is larger than allowed, with its length in the head or in chunks."""
    async with target.connected() as connection:
        part = b"x" * 65_536
        count = target.max_body // len(part) + 2
        is_chunked = target.random.random() < 0.5
        if is_chunked:
            head = target.head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            part = b"%x\r\n%s\r\n" % (len(part), part)
        else:
            head = target.head(count * len(part))
        connection.writer.write(head)
        for _ in range(count):
            connection.writer.write(part)
            await connection.writer.drain()
        if is_chunked:
            connection.writer.write(b"0\r\n\r\n")
        reply = await connection.reply()
        return checked(reply).status


async def pipelined(target: Target) -> str:
    """Two requests at once on one connection, which must be answered in order."""
    first, second = target.some(2), target.some(2)
    async with target.connected() as connection:
        connection.writer.write(target.request(first[0]) + target.request(second[0]))
        statuses = {target.check(await connection.reply(), answers) for _, answers in (first, second)}
        return max(statuses)


async def not_http(target: Target) -> str:
    """Bytes that are not HTTP."""
    async with target.connected() as connection:
        connection.writer.write(target.random.randbytes(200) + b"\r\n\r\n")
        reply = await connection.reply()
        return reply.status


def sends(make: Callable[[Target], bytes]) -> Callable[[Target], Awaitable[str]]:
    """A client that sends a request on a connection of its own."""

    async def client(target: Target) -> str:
        async with target.connected() as connection:
            reply = await connection.exchange(make(target))
            return checked(reply).status

    return client


def _inputs(inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


# What each client does, and the statuses that it may get.
HOSTILE: dict[str, tuple[Callable[[Target], Awaitable[str]], set[str]]] = {
    "slow writer": (slow_writer, _BUSY | {"408"}),
    "slow reader": (slow_reader, _BUSY),
    "body that never ends": (stalled_body, {"408"}),
    "head that never ends": (stalled_head, {"closed"}),
    "leaves in the request": (leaves_in_request, {"left"}),
    "leaves before the answer": (leaves_before_answer, {"left"}),
    "oversized body": (oversized, {"413", "429"}),
    "pipelined": (pipelined, _BUSY),
    "not HTTP": (not_http, {"400", "closed"}),
    "too many texts": (sends(lambda t: t.request(_inputs([["a"]] * (t.max_texts + 1)))), {"413"}),
    "too long a text": (sends(lambda t: t.request(_inputs("word " * 5000))), {"413"}),
    "malformed JSON": (sends(lambda t: t.request(b'{"inputs": "a')), {"400", "422"}),
    "wrong type": (sends(lambda t: t.request(_inputs({"a": 1}))), {"422"}),
    "blank text": (sends(lambda t: t.request(_inputs(" "))), {"422"}),
    "wrong token": (sends(lambda t: t.request(_inputs("a"), token="wrong")), {"401"}),
    "unknown path": (sends(lambda t: t.request(b"{}", "/nothing/here")), {"404"}),
    "wrong method": (sends(lambda t: t.request(b"", "/predict", "DELETE")), {"405"}),
}


async def run(name: str, client: Callable[[Target], Awaitable[str]], target: Target) -> tuple[str, str]:
    """The name and the outcome of a client: a status, or what went wrong."""
    try:
        async with asyncio.timeout(target.patience):
            return name, await client(target)
    except TimeoutError:
        return name, "no answer"
    except WrongAnswerError as error:
        return name, f"wrong: {error}"
    except (OSError, asyncio.IncompleteReadError):
        return name, "closed"
