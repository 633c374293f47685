"""Repeated requests whose client vanishes or whose service stops or fails, and their records."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from raw_http import BODY, OTHER, Connection, connected, request
from running import Held, Running, holding, serving, wait_until

from bertune.serve import server
from bertune.serve.explaining import Explanations
from bertune.serve.logs import ACCESS
from bertune.serve.service import ServedModel


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


@pytest.mark.parametrize("more", [b"", b"\r\n"], ids=["nothing more", "an empty line"])
def test_the_texts_of_a_vanished_client_are_no_longer_computed(reviews_run: Path, more: bytes) -> None:
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
            second.send(more)
            time.sleep(0.05)
        wait_until(lambda: not batcher.queued_sequences)
        backend.let()
        assert first.response()[0] == 200
        with running.client() as client:
            assert 'status="499"} 1.0' in client.get("/metrics").text
        assert len(backend.batches) == before + 1


@contextmanager
def repeating(run: Path) -> Iterator[tuple[Running, Held, Connection]]:
    """A connection whose second request has a known head, and is being computed."""
    with holding(run) as (running, backend), connected(running) as connection:
        backend.let(1)
        assert connection.ask(request(BODY))[0] == 200
        backend.wait()
        connection.send(request(OTHER))
        backend.wait()
        yield running, backend, connection


def test_the_last_response_before_the_service_stops(reviews_run: Path) -> None:
    with repeating(reviews_run) as (running, backend, connection):
        running.server.stop()
        wait_until(lambda: not is_listening(running))
        backend.let()
        status, response = connection.response()
        assert (status, b"connection: close" in response) == (200, True)
        assert connection.is_closed()


def test_what_has_arrived_is_answered_before_the_service_stops(reviews_run: Path) -> None:
    with repeating(reviews_run) as (running, backend, connection):
        for data in (request(BODY), request(OTHER), request(BODY, b"X-Test: stopping")):
            connection.send(data)
        time.sleep(0.1)
        running.server.stop()
        wait_until(lambda: not is_listening(running))
        backend.let()
        found = [connection.response() for _ in range(4)]
        assert [status for status, _ in found] == [200] * 4
        assert [b"connection: close" in response for _, response in found] == [False, False, False, True]
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
                assert status == 500
                assert b'"kind":"failed"' in response
                assert b"connection: close" in response
                assert connection.is_closed()
        with connected(running) as connection:
            assert connection.ask(request(BODY))[0] == 200
    assert [facts["status"] for facts in access(logged)] == [200, 500, 200]
    assert any(record.exc_info for record in logged.records if record.name == "uvicorn.error")


def test_an_error_is_logged_although_the_client_is_gone(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    is_waiting = threading.Event()

    async def broken(self: ServedModel, *args: Any, **options: Any) -> list[Any]:
        is_waiting.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise LookupError

    with serving([reviews_run]) as running:
        with connected(running) as connection:
            assert connection.ask(request(BODY))[0] == 200
            monkeypatch.setattr(ServedModel, "predict", broken)
            connection.send(request(BODY))
            assert is_waiting.wait(30)
        wait_until(lambda: any(record.exc_info for record in logged.records))
    assert [facts["status"] for facts in access(logged)] == [200, 500]


def test_an_unexpected_error_is_counted_once(reviews_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Explanations, *args: Any) -> None:
        raise LookupError

    monkeypatch.setattr(Explanations, "explain", broken)
    with serving([reviews_run]) as running:
        with running.client() as client:
            answer = client.post("/models/reviews/explain", json={"row": "a lovely lamp"})
            assert (answer.status_code, answer.json()["kind"]) == (500, "failed")
        with running.client() as client:  # the connection of the error was closed
            assert 'bertune_refused_requests_total{kind="failed"} 1.0' in client.get("/metrics").text


def test_a_part_of_a_pipelined_head_has_a_time_limit(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE", 1.0)
    with serving([reviews_run]) as running, connected(running) as connection:
        start = time.monotonic()
        connection.send(request(BODY) + b"POST / HTTP/1.1\r\n")
        assert connection.response()[0] == 200
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < start + 20:
                connection.send(b"X")
                time.sleep(0.1)


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


def test_a_body_is_not_answered_as_a_known_request(reviews: Running) -> None:
    with connected(reviews) as connection:
        assert connection.ask(request(BODY))[0] == 200
        body = request(BODY)
        connection.send(request(b"", length=b"Content-Length: %d" % len(body)))
        time.sleep(0.1)
        assert connection.ask(body)[0] == 400
        assert connection.ask(request(BODY))[0] == 200
