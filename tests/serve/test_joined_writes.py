"""The writes of a response are sent together, and nothing is lost at the end."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from running import serving

from bertune.serve.bookkeeping import Bookkeeping
from bertune.serve.connections import JoiningTransport

Step = Callable[[JoiningTransport, socket.socket], Awaitable[None]]


def run(step: Step) -> None:
    """Run a step with a transport and the socket at its other end."""

    async def connected() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        inner, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        try:
            await step(JoiningTransport(inner, loop), theirs)
        finally:
            inner.abort()
            theirs.close()

    asyncio.run(connected())


def test_head_and_body_arrive_together() -> None:
    async def step(transport: JoiningTransport, other: socket.socket) -> None:
        transport.write(b"head")
        transport.write(b"body")
        assert transport.get_write_buffer_size() == 8
        with pytest.raises(BlockingIOError):
            other.recv(100)
        await asyncio.sleep(0)
        assert other.recv(100) == b"headbody"
        assert transport.get_write_buffer_size() == 0

    run(step)


def test_a_complete_response_does_not_wait_for_other_work() -> None:
    async def step(transport: JoiningTransport, other: socket.socket) -> None:
        transport.write(b"head")
        transport.write(b"body")
        transport.flush()
        assert other.recv(100) == b"headbody"

    run(step)


def test_everything_is_sent_before_the_connection_is_closed() -> None:
    async def step(transport: JoiningTransport, other: socket.socket) -> None:
        transport.write(b"last")
        transport.close()
        assert transport.is_closing()
        assert await asyncio.get_running_loop().sock_recv(other, 100) == b"last"
        assert await asyncio.get_running_loop().sock_recv(other, 100) == b""

    run(step)


def test_much_data_is_not_held_back() -> None:
    async def step(transport: JoiningTransport, other: socket.socket) -> None:
        transport.write(bytes(70_000))
        assert other.recv(100_000)

    run(step)


def test_nothing_is_sent_on_a_connection_that_was_lost() -> None:
    async def step(transport: JoiningTransport, other: socket.socket) -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        transport.abort()
        await asyncio.sleep(0.01)
        for _ in range(10):
            transport.write(b"late")
            await asyncio.sleep(0)
        assert errors == []

    run(step)


def test_a_client_has_its_response_before_the_event_loop_turns_to_others(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, is_done = threading.Event(), threading.Event()
    found: list[bool] = []

    def block(bookkeeping: Bookkeeping, entry: Callable[[], None]) -> None:  # after the response
        found.append(answered.wait(20))
        is_done.set()

    with serving([reviews_run]) as running, running.client() as client:
        monkeypatch.setattr(Bookkeeping, "add", block)
        client.get("/models")
        answered.set()
        assert is_done.wait(60)
    assert found == [True]


def test_no_write_waits_for_the_client_to_acknowledge_the_last(reviews_run: Path) -> None:
    """asyncio switches Nagle's algorithm off only for sockets whose protocol is explicitly TCP."""
    with serving([reviews_run]) as running, running.client() as client:
        client.get("/models")
        [connection] = running.server._uvicorn.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
