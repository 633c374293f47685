"""Clients that are slow, silent or gone: they cost nothing, and others are answered meanwhile."""

import socket
import time
from pathlib import Path

import httpx
import pytest
from running import PREDICT, Running, holding, posted, serving, wait_until

from bertune.serve import server

BODY = b'{"rows": ["a lovely lamp"]}'


def request(body: bytes, length: int | None = None, headers: bytes = b"") -> bytes:
    size = str(len(body) if length is None else length).encode()
    return (
        b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"Content-Length: " + size
        + b"\r\n\r\n" + body
    )  # fmt: skip


def is_closed(connection: socket.socket) -> bool:
    """Whether the service closes a connection, within the timeout of the socket."""
    try:
        return connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def is_answered(running: Running) -> bool:
    with running.client() as client:
        return client.post(PREDICT, json={"rows": ["good"]}).status_code == 200


def test_a_body_in_small_pieces_is_answered(reviews: Running) -> None:
    with socket.create_connection(reviews.address, timeout=30) as connection:
        for byte in request(BODY):
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_that_never_arrives_is_refused(reviews_run: Path) -> None:
    with (
        serving([reviews_run], {"serve": {"timeout": 0.3}}) as running,
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        connection.sendall(request(BODY, length=1000))
        assert is_answered(running)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408")
        assert is_closed(connection)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"POST /models HTTP/1.1\r\nHost:"])
def test_headers_that_never_arrive_close_the_connection(
    reviews_run: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 0.3)
    with (
        serving([reviews_run]) as running,
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        connection.sendall(sent)
        assert is_answered(running)
        assert is_closed(connection)


def test_a_connection_is_closed_once_it_is_idle(reviews_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 1.0)
    with (
        serving([reviews_run]) as running,
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        for _ in range(5):  # together longer than the time limit
            connection.sendall(request(BODY))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)
        assert is_closed(connection)
        assert is_answered(running)


def test_a_connection_that_waits_for_a_response_is_not_idle(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 1.0)
    with (
        holding(reviews_run) as (running, backend),
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")  # from now on, there is a timer
        connection.sendall(request(BODY))
        backend.wait()
        time.sleep(1.5)
        backend.let()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert is_closed(connection)


def test_a_body_that_stops_after_its_response_closes_the_connection(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 1.0)
    head = b"POST /models/reviews/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with (
        serving([reviews_run]) as running,
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        connection.sendall(head + b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")
        connection.sendall(b"x")
        assert is_closed(connection)


def test_endless_headers_close_the_connection(reviews: Running) -> None:
    with socket.create_connection(reviews.address, timeout=30) as connection:
        connection.sendall(b"GET /models HTTP/1.1\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                connection.sendall(b"X-Header: " + b"x" * 1000 + b"\r\n")
                time.sleep(0.001)
    assert is_answered(reviews)


@pytest.mark.parametrize("extra_bytes", [0, 300_000], ids=["small body", "large body"])
def test_a_vanished_client_is_no_longer_computed(reviews_run: Path, extra_bytes: int) -> None:
    body = b'{"rows": ["two lamp so slow", "two lamp so slow", "cup"]' + b" " * extra_bytes + b"}"
    with holding(reviews_run, max_tokens=16) as (running, backend):
        batcher = running.service.models["reviews"].batcher
        first, _ = posted(running, ["one lamp"])
        backend.wait()
        with socket.create_connection(running.address, timeout=30) as connection:
            connection.sendall(request(body))
            wait_until(lambda: batcher.queued_sequences >= 3)
        wait_until(lambda: not batcher.queued_sequences)  # emptied although nothing was computed
        backend.let()
        first.join()
        assert is_answered(running)
        with running.client() as client:
            page = client.get("/metrics").text
    assert backend.batches == [[4], [3]]
    assert 'bertune_requests_total{endpoint="/models/{name}/predict",status="499"} 1.0' in page


def test_a_client_that_does_not_read_is_disconnected(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 0.3)
    with serving([reviews_run]) as running, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(running.address)
        with running.client() as client:
            assert len(client.get("/openapi.json").content) > 10_000
        # Pipelined. The responses are larger than the buffers of both sides.
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert is_answered(running)
        wait_until(lambda: not running.server.open_connections)


def test_many_connections_and_malformed_requests_leave_the_service_alive(reviews: Running) -> None:
    rubbish = [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01" + b"x" * 300,
    ]
    for sent in rubbish * 20:
        with socket.create_connection(reviews.address, timeout=30) as connection:
            connection.sendall(sent)
    assert is_answered(reviews)


def test_a_response_larger_than_the_buffers_arrives_whole(reviews: Running) -> None:
    rows = ["cup"] * 1000
    with httpx.Client(base_url=reviews.url, timeout=60) as client:
        assert len(client.post(PREDICT, json={"rows": rows}).json()["predictions"]) == 1000
