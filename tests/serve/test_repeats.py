"""Requests with the head of an earlier one get the response that uvicorn would send, without a parser."""

import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from running import PREDICT, Running, holding, serving, wait_until
from starlette.responses import Response

from bertune.serve import server
from bertune.serve.connections import TimedProtocol
from bertune.serve.logs import ACCESS
from bertune.serve.repeats import _LONGEST_HEAD, _MOST_HEADS, Heads, Repeatable
from bertune.serve.service import ServedModel

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
    """A connection to a service, and whole responses of it."""

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


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The data that uvicorn has parsed since the test began."""
    found: list[bytes] = []
    ordinary = TimedProtocol.data_received

    def data_received(self: TimedProtocol, data: bytes) -> None:
        found.append(data)
        ordinary(self, data)

    monkeypatch.setattr(TimedProtocol, "data_received", data_received)
    return found


@pytest.mark.parametrize(
    ("path", "known", "repeated"),
    [
        pytest.param(PREDICT, BODY, OTHER, id="own format"),
        pytest.param("/predict", b'{"inputs": "a lovely lamp"}', b'{"inputs": "a broken lamp"}', id="tei"),
        pytest.param(PREDICT, BODY, b'{"rows": ["             "]}', id="a blank text"),
        pytest.param(PREDICT, BODY, b'{"rows": ["a lovely lamp"}]', id="invalid JSON"),
        pytest.param(PREDICT, BODY, b'["a lovely, and fine, lamp"]', id="no object"),
        pytest.param(
            "/predict", b'{"inputs": "cup", "raw": 1}' + b" " * 300,
            b'{"inputs": "%b"}' % (b"a " * 156), id="too long",
        ),
        pytest.param(
            "/v1/embeddings?a=b", b'{"input": ["a lovely lamp"]}', b'{"input": ["a broken lamp"]}',
            id="no such model",
        ),
    ],
)  # fmt: skip
def test_a_repeated_head_gets_the_same_bytes(
    reviews: Running, parsed: list[bytes], path: str, known: bytes, repeated: bytes
) -> None:
    if len(known) != len(repeated):
        known, repeated = (body.ljust(max(len(known), len(repeated))) for body in (known, repeated))
    with connected(reviews) as connection:
        # An unusual header, so that no other test has sent this head.
        expected = connection.ask(request(repeated, b"X-First: " + path.encode(), path=path))
        status, _ = connection.ask(request(known, b"X-Test: " + path.encode(), path=path))
        before = len(parsed)
        assert connection.ask(request(repeated, b"X-Test: " + path.encode(), path=path)) == expected
        assert connection.ask(request(known, b"X-Test: " + path.encode(), path=path))[0] == status
    assert len(parsed) - before == (0 if status == 200 else 2)


def test_other_connections_know_the_head_too(reviews: Running, parsed: list[bytes]) -> None:
    with connected(reviews) as first, connected(reviews) as second:
        assert first.ask(request(BODY, b"X-Test: shared"))[0] == 200
        assert second.ask(request(OTHER, b"X-Test: shared"))[0] == 200
    assert len(parsed) == 1


@pytest.mark.parametrize(
    ("first", "status"),
    [
        pytest.param(request(b'{"rows": ["             "]}', b"X-Test: refused"), 422, id="refused"),
        pytest.param(request(BODY, b"Connection: close"), 200, id="last of its connection"),
        pytest.param(request(BODY, version=b"1.0"), 200, id="HTTP 1.0"),
        pytest.param(request(BODY, b"X: " + b"x" * _LONGEST_HEAD), 200, id="long head"),
        pytest.param(request(BODY, b"X-Test: upgrade", b"Upgrade: h2c"), 200, id="upgrade"),
        pytest.param(
            request(b"1b\r\n%b\r\n0\r\n\r\n" % BODY, b"Transfer-Encoding: chunked", length=b""),
            200,
            id="chunked",
        ),
    ],
)
def test_what_is_not_remembered(reviews: Running, parsed: list[bytes], first: bytes, status: int) -> None:
    for count in (1, 2):
        with connected(reviews) as connection:
            assert connection.ask(first)[0] == status
        assert len(parsed) == count


def test_a_client_that_waits_for_permission_gets_it_every_time(reviews: Running) -> None:
    with connected(reviews) as connection:
        for _ in range(3):
            connection.send(request(b"", b"Expect: 100-continue", length=b"Content-Length: %d" % len(BODY)))
            assert connection.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert connection.stream.readline() == b"\r\n"
            assert connection.ask(BODY)[0] == 200


def test_every_token_is_compared(reviews_run: Path) -> None:
    right, wrong = b"Authorization: Bearer secret", b"Authorization: Bearer sEcret"
    with serving([reviews_run], token="secret") as running, connected(running) as connection:
        for _ in range(2):
            assert connection.ask(request(BODY, right))[0] == 200
            with connected(running) as other:
                assert other.ask(request(BODY, wrong))[0] == 401
            with connected(running) as other:
                assert other.ask(request(BODY))[0] == 401


def test_bodies_that_do_not_arrive_in_one_piece(reviews: Running) -> None:
    long, short = request(OTHER + b" "), request(BODY)
    with connected(reviews) as connection:
        expected = [connection.ask(data) for data in (short, request(OTHER), long)]
        assert expected[1][1] == expected[2][1]
        whole = b"".join([short, request(OTHER), long])
        for size in (1, 50, len(short) - 1, len(short) + 1, 2 * len(short) + 5, len(whole), len(whole)):
            for position in range(0, len(whole), size):
                connection.send(whole[position : position + size])
                time.sleep(0.01 if size > 1 else 0)
            assert [connection.response() for _ in expected] == expected


def test_what_arrives_during_a_repeated_request_is_answered_next(reviews_run: Path) -> None:
    probe = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with holding(reviews_run) as (running, backend), connected(running) as connection:
        backend.let(2)
        expected = [connection.ask(data) for data in (request(OTHER), request(BODY), probe)]
        assert len({body for _, body in expected}) == 3
        backend.wait()
        backend.wait()
        connection.send(request(OTHER))
        backend.wait()
        connection.send(request(BODY)[:20])
        time.sleep(0.05)
        connection.send(request(BODY)[20:] + probe)
        backend.let()
        assert [connection.response() for _ in expected] == expected


def access(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["facts"] for record in caplog.records if record.name == ACCESS]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    for name in ("bertune", "bertune.serve", "uvicorn"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    caplog.set_level(logging.INFO, logger=ACCESS)
    return caplog


def test_repeated_requests_are_counted_and_logged(
    reviews_run: Path, logged: pytest.LogCaptureFixture
) -> None:
    with serving([reviews_run]) as running:
        with connected(running) as connection:
            for _ in range(3):
                connection.ask(request(BODY))
            connection.ask(request(b'{"rows": ["             "]}'))
        with running.client() as client:
            page = client.get("/metrics").text
    assert 'bertune_requests_total{endpoint="/models/{name}/predict",status="200"} 3.0' in page
    assert 'bertune_requests_total{endpoint="/models/{name}/predict",status="422"} 1.0' in page
    assert 'bertune_refused_requests_total{kind="invalid"} 1.0' in page
    found = access(logged)[:4]
    assert [(facts["status"], facts["bytes"]) for facts in found] == [(200, 27)] * 3 + [(422, 27)]
    assert {facts["endpoint"] for facts in found} == {"/models/{name}/predict"}
    assert {facts["method"] for facts in found} == {"POST"}


def test_a_client_that_vanishes_is_no_longer_computed(reviews_run: Path) -> None:
    rows = b'{"rows": ["two lamp so slow", "two lamp so slow", "cup"]}'
    with holding(reviews_run, max_tokens=16) as (running, backend), connected(running) as first:
        batcher = running.service.models["reviews"].batcher
        backend.let(2)
        assert first.ask(request(rows))[0] == 200
        before = len(backend.batches)
        first.send(request(BODY))
        wait_until(lambda: len(backend.batches) > before)
        with connected(running) as second:
            second.send(request(rows))
            wait_until(lambda: batcher.queued_sequences >= 3)
        wait_until(lambda: not batcher.queued_sequences)
        backend.let()
        assert first.response()[0] == 200
        with running.client() as client:
            assert 'status="499"} 1.0' in client.get("/metrics").text
        assert len(backend.batches) == before + 1


def test_the_last_response_before_the_service_stops(reviews_run: Path) -> None:
    with holding(reviews_run) as (running, backend), connected(running) as connection:
        backend.let(1)
        assert connection.ask(request(BODY))[0] == 200
        backend.wait()
        connection.send(request(OTHER))
        backend.wait()
        running.server.stop()
        wait_until(lambda: not is_listening(running))
        backend.let()
        status, response = connection.response()
        assert (status, b"connection: close" in response) == (200, True)
        assert connection.is_closed()


def is_listening(running: Running) -> bool:
    try:
        socket.create_connection(running.address, timeout=1).close()
    except OSError:
        return False
    return True


def test_an_unexpected_error_is_reported_and_logged(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    async def broken(self: ServedModel, *args: Any, **options: Any) -> list[Any]:
        raise LookupError("a lovely lamp")

    with serving([reviews_run]) as running:
        with connected(running) as connection:
            assert connection.ask(request(BODY))[0] == 200
            with monkeypatch.context() as patch:
                patch.setattr(ServedModel, "predict", broken)
                status, response = connection.ask(request(BODY))
                assert (status, json.loads(response.partition(b"\r\n{")[2].join([b"{", b""]))["kind"]) == (
                    500,
                    "failed",
                )
                assert connection.is_closed()
        with connected(running) as connection:
            assert connection.ask(request(BODY))[0] == 200
    assert [facts["status"] for facts in access(logged)] == [200, 500, 200]
    assert any(record.exc_info for record in logged.records if record.name == "uvicorn.error")


def test_a_first_request_on_a_connection_may_take_long(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 0.5)
    with holding(reviews_run) as (running, backend):
        backend.let(1)
        with connected(running) as connection:
            assert connection.ask(request(BODY))[0] == 200
        with connected(running) as connection:
            connection.send(request(BODY))
            time.sleep(1.2)  # longer than the time limit for headers, and for idle connections
            backend.let()
            assert connection.response()[0] == 200
            assert connection.is_closed()  # because it is idle


def test_a_client_that_does_not_read_is_not_answered_again(reviews_run: Path) -> None:
    with serving([reviews_run]) as running, connected(running) as connection:
        expected = connection.ask(request(BODY))
        [protocol] = running.server._uvicorn.server_state.connections
        protocol.loop.call_soon_threadsafe(protocol.pause_writing)  # as the transport does
        connection.send(request(BODY))
        connection.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
        connection.socket.settimeout(30)
        protocol.loop.call_soon_threadsafe(protocol.resume_writing)
        assert connection.socket.recv(65536).endswith(expected[1][-50:])


def test_a_known_request_waits_for_the_one_before_it(reviews_run: Path) -> None:
    blank = b'{"rows": ["             "]}'
    with holding(reviews_run) as (running, backend), connected(running) as connection:
        backend.let(1)
        assert connection.ask(request(BODY))[0] == 200
        backend.wait()
        connection.send(request(BODY, b"X-Test: new"))
        backend.wait()
        connection.send(request(blank))  # refused without being computed
        time.sleep(0.1)
        backend.let()
        assert [connection.response()[0] for _ in range(2)] == [200, 422]


def test_a_body_that_is_a_known_request_is_a_body(reviews: Running) -> None:
    with connected(reviews) as connection:
        assert connection.ask(request(BODY))[0] == 200
        body = request(BODY)
        connection.send(request(b"", length=b"Content-Length: %d" % len(body)))
        time.sleep(0.1)
        assert connection.ask(body)[0] == 400
        assert connection.ask(request(BODY))[0] == 200


async def nothing(body: bytes) -> Response:
    return Response(body)


def test_the_oldest_heads_are_forgotten() -> None:
    heads = Heads()
    for number in range(_MOST_HEADS + 1):
        heads.remember(b"%d\r\n\r\n" % number, 3, Repeatable(nothing, Response, lambda handled: None))
    assert heads.find(b"0\r\n\r\nabc") is None
    for number in (1, _MOST_HEADS):
        found = heads.find(b"%d\r\n\r\nabc" % number)
        assert found is not None
        assert found[1] == b"abc"


@pytest.mark.parametrize(
    "data", [b"", b"abc", b"a\r\n\r\n", b"a\r\n\r\nab", b"a\r\n\r\nabcd", b"b\r\n\r\nabc"]
)
def test_only_exactly_one_request_is_found(data: bytes) -> None:
    heads = Heads()
    heads.remember(b"a\r\n\r\n", 3, Repeatable(nothing, Response, lambda handled: None))
    assert heads.find(data) is None
    assert heads.find(b"a\r\n\r\nabc") is not None
