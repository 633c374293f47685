"""Requests with the head of an earlier one get the response that uvicorn would send, without a parser."""

import time
from pathlib import Path

import pytest
from raw_http import BODY, OTHER, connected, request
from running import PREDICT, Running, holding, serving
from starlette.responses import Response

from bertune.serve.connections import TimedProtocol
from bertune.serve.repeats import _LONGEST_HEAD, _MOST_HEADS, Heads, Repeatable


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


def test_what_fastapi_answers_is_not_remembered(reviews: Running, parsed: list[bytes]) -> None:
    data = request(b'{"row": "a lovely lamp"}', path="/models/reviews/explain")
    with connected(reviews) as connection:
        assert [connection.ask(data)[0] for _ in range(3)] == [200, 200, 200]
    assert parsed == [data] * 3


def test_a_client_that_waits_for_100_continue_gets_it_every_time(reviews: Running) -> None:
    with connected(reviews) as connection:
        for _ in range(3):
            connection.send(request(b"", b"Expect: 100-continue", length=b"Content-Length: %d" % len(BODY)))
            assert connection.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert connection.stream.readline() == b"\r\n"
            assert connection.ask(BODY)[0] == 200


def test_a_known_head_does_not_accept_another_token(reviews_run: Path) -> None:
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


SECRET = b"Authorization: Bearer secret"


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\nX: ",
            request(b'{"inputs": "a lovely lamp"}', path="/predict"), id="an open path",
        ),
        pytest.param(
            b"POST /models/reviews/predict HTTP/1.1\r\n%b\r\nX: " % SECRET,
            request(BODY, path="/predict"), id="another path",
        ),
        pytest.param(
            b"POST /models/reviews/predict HTTP/1.1\r\n%b\r\nX: " % SECRET, request(), id="a token"
        ),
    ],
)  # fmt: skip
def test_the_rest_of_a_request_is_not_remembered_as_a_request(
    reviews_run: Path, parsed: list[bytes], start: bytes, rest: bytes
) -> None:
    """Although it looks like one: it begins as a header of the request whose body it ends with."""
    probe = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving([reviews_run], token="secret") as running:
        for cut in (1, len(start)):
            with connected(running) as connection:
                assert connection.ask(probe + start[:cut])[0] == 200
                connection.send(start[cut:])
                assert connection.ask(rest)[0] == 200
        before = len(parsed)
        with connected(running) as connection:
            assert connection.ask(rest)[0] == 401
        assert len(parsed) == before + 1


async def nothing(body: bytes) -> Response:
    return Response(body)


def test_the_oldest_heads_are_forgotten() -> None:
    heads = Heads()
    for number in range(_MOST_HEADS + 1):
        heads.remember(b"%d\r\n\r\n" % number, 3, Repeatable(nothing, Response, lambda handled: None))
    assert heads.find(b"0\r\n\r\nabc") is None
    heads.remember(b"1\r\n\r\n", 3, Repeatable(nothing, Response, lambda handled: None))  # known already
    for number in (1, 2, _MOST_HEADS):
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
