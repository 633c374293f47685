"""Writes of one iteration of the event loop are sent together, and nothing is lost at the end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop

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

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(connected())


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
