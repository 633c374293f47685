"""Requests to a service as bytes, and the bytes of its responses."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from running import PREDICT, Running

BODY = b'{"rows": ["a lovely lamp"]}'
OTHER = b'{"rows": ["a broken lamp"]}'


def request(
    body: bytes = BODY,
    *lines: bytes,
    path: str = PREDICT,
    version: bytes = b"1.1",
    length: bytes | None = None,
) -> bytes:
    size = b"Content-Length: %d" % len(body) if length is None else length
    head = b"POST %b HTTP/%b" % (path.encode(), version)
    return b"\r\n".join([head, b"Host: x", *lines, *([size] if size else []), b"", body])


class Connection:
    """A connection to a service, and its complete responses."""

    def __init__(self, connected: socket.socket, stream: BinaryIO) -> None:
        self.socket = connected
        self.stream = stream

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def response(self) -> tuple[int, bytes]:
        """The status and all bytes of the next response, without the date."""
        head = b"".join(iter(self.stream.readline, b"\r\n"))
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        body = self.stream.read(int(length[1]))
        return int(head.split()[1]), re.sub(rb"date: .*\r\n", b"", head) + body

    def ask(self, data: bytes) -> tuple[int, bytes]:
        self.send(data)
        return self.response()

    def is_closed(self) -> bool:
        return self.stream.read(1) == b""


@contextmanager
def connected(running: Running) -> Iterator[Connection]:
    with (
        socket.create_connection(running.address, timeout=30) as connection,
        connection.makefile("rb") as stream,
    ):
        yield Connection(connection, stream)
