"""What the service refuses, and with which status: too much, too long, too late, not allowed."""

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import PREDICT, Running, holding, posted, serving, wait_until

from bertune.config import ServeConfig
from bertune.errors import ConfigError
from bertune.predict.model import Model
from bertune.serve.connections import most_connections, permitted_connections
from bertune.serve.guard import is_same_token
from bertune.serve.server import listening, read_token, serve
from bertune.serve.sources import Source


def test_a_full_queue_refuses_with_the_time_to_wait(reviews_run: Path) -> None:
    with holding(reviews_run, max_queued_tokens=40) as (running, backend), running.client() as client:
        computed, first = posted(running, ["one great lamp"])  # 5 tokens, being computed: not in the queue
        backend.wait()
        waiting, second = posted(running, ["so " * 28])  # 30 tokens wait
        wait_until(lambda: running.service.models["reviews"].batcher.queued_tokens >= 30)
        refused = client.post(PREDICT, json={"rows": ["so " * 18]})
        too_much = client.post(PREDICT, json={"rows": ["so " * 18] * 3})
        backend.let()
        for thread in (computed, waiting):
            thread.join()
        afterwards = client.post(PREDICT, json={"rows": ["so " * 18]})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["kind"] == "overloaded"
    assert too_much.status_code == 413  # it would not fit into an empty queue either
    assert [r.status_code for r in (*first, *second, afterwards)] == [200, 200, 200]


def test_a_request_that_waits_too_long_is_refused_and_not_computed(reviews_run: Path) -> None:
    with holding(reviews_run, timeout=0.3) as (running, backend), running.client() as client:
        first = client.post(PREDICT, json={"rows": ["a lamp"]})  # its batch was started
        second = client.post(PREDICT, json={"rows": ["two lamp so slow"]})
        backend.let()
        third = client.post(PREDICT, json={"rows": ["great"]})
    assert [r.status_code for r in (first, second, third)] == [503, 503, 200]
    assert "serve.timeout" in first.json()["error"]
    assert backend.batches == [[4], [3]]  # the second request was removed from the queue


def test_many_short_texts_have_a_time_limit_after_they_are_computed(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open = threading.Event()
    decode = Model.decode

    def slow(model: Model, *args: Any) -> list[Any]:
        assert is_open.wait(60)
        return decode(model, *args)

    monkeypatch.setattr(Model, "decode", slow)
    with serving([reviews_run], {"serve": {"timeout": 1}}) as running, running.client() as client:
        try:
            response = client.post(PREDICT, json={"rows": ["a lamp"] * 40})
        finally:
            is_open.set()
    assert response.status_code == 503
    assert "serve.timeout" in response.json()["error"]


def test_sequences_of_several_requests_share_a_batch(reviews_run: Path) -> None:
    with holding(reviews_run) as (running, backend):
        threads = [posted(running, ["one lamp"])[0]]
        backend.wait()
        threads += [posted(running, ["two lamp"])[0] for _ in range(3)]
        wait_until(lambda: running.service.models["reviews"].batcher.queued_sequences >= 3)
        backend.let()
        for thread in threads:
            thread.join()
    assert backend.batches == [[4], [4, 4, 4]]
    assert backend.groups == [[0], [0, 1, 2]]  # examples of different requests are not taken for one


def test_short_texts_do_not_wait_for_a_long_one(reviews_run: Path) -> None:
    with holding(reviews_run, max_tokens=70) as (running, backend):
        threads = [posted(running, ["one lamp"])[0]]
        backend.wait()
        threads.append(posted(running, ["so " * 60])[0])
        wait_until(lambda: running.service.models["reviews"].batcher.queued_tokens >= 62)
        threads += [posted(running, ["two lamp"])[0] for _ in range(3)]
        wait_until(lambda: running.service.models["reviews"].batcher.queued_sequences >= 4)
        backend.let()
        for thread in threads:
            thread.join()
    assert backend.batches == [[4], [4, 4, 4], [62]]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_is_refused_and_the_service_goes_on(reviews_run: Path, is_chunked: bool) -> None:
    with serving([reviews_run], {"serve": {"max_body_mb": 0.01}}) as running, running.client() as client:
        body = json.dumps({"rows": ["so " * 10_000]}).encode()
        sent = iter([body[:5000], body[5000:]]) if is_chunked else body
        refused = client.post(PREDICT, content=sent)
        after = client.post(PREDICT, json={"rows": ["good"]})
    assert (refused.status_code, after.status_code) == (413, 200)
    assert "0.01 MB (serve.max_body_mb)" in refused.json()["error"]


def test_a_client_that_asks_first_need_not_send_a_large_body(reviews_run: Path) -> None:
    with (
        serving([reviews_run], {"serve": {"max_body_mb": 0.01}}) as running,
        socket.create_connection(running.address, timeout=30) as connection,
    ):
        connection.sendall(
            b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")


def test_too_many_connections_are_refused_and_the_others_go_on(
    reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertune.serve.server.most_connections", lambda: 3)
    with serving([reviews_run]) as running, contextlib.ExitStack() as stack:
        first, *more = [stack.enter_context(running.client()) for _ in range(3)]
        assert [client.get("/health").status_code for client in (first, *more)] == [200] * 3
        with socket.create_connection(running.address) as fourth:
            fourth.settimeout(60)
            answer = fourth.recv(4096)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in answer
            assert fourth.recv(4096) == b""
        assert first.get("/health").status_code == 200
        more[0].close()
        with running.client() as after:
            assert retried(lambda: after.get("/health").status_code == 200)


def retried(is_right: Callable[[], bool]) -> bool:
    """Whether something becomes true; the service may not have noticed a closed connection yet."""
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            if is_right():
                return True
        time.sleep(0.05)
    return False


def test_the_limit_of_connections_leaves_files_for_the_rest() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, hard))
        assert most_connections() == permitted_connections(hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("files", "expected"), [(2, 1), (256, 128), (768, 384), (1024, 640), (20_000, 19_616)]
)
def test_few_open_files_still_permit_connections(files: int, expected: int) -> None:
    assert permitted_connections(files) == expected


def test_too_many_texts_are_refused(reviews_run: Path) -> None:
    with serving([reviews_run], {"serve": {"max_texts": 2}}) as running, running.client() as client:
        assert client.post(PREDICT, json={"rows": ["a", "b"]}).status_code == 200
        refused = client.post(PREDICT, json={"rows": ["a", "b", "c"]})
    assert refused.status_code == 413
    assert "3 texts" in refused.json()["error"]


def test_a_token_is_needed_for_all_but_probes(reviews_run: Path) -> None:
    def status(client: httpx.Client, given: str | None) -> int:
        headers = {} if given is None else {"Authorization": given}
        return client.post(PREDICT, json={"rows": ["good"]}, headers=headers).status_code

    with serving([reviews_run], token="s3cret") as running, running.client() as client:
        given = [
            None,
            "",
            "s3cret",
            "Bearer",
            "Bearer s3cre",
            "Basic s3cret",
            "Bearer s3cret",
            "bearer  s3cret",
        ]
        assert [status(client, each) for each in given] == [401, 401, 401, 401, 401, 401, 200, 200]
        refused = client.get("/models")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get("/metrics").status_code == 401
        assert client.get("/ready").status_code == 200


def test_tokens_are_compared_by_content() -> None:
    assert is_same_token(b"abc", "abc")
    assert not any(is_same_token(given, "abc") for given in (b"", b"ab", b"abcd", b"ABC", "äbc".encode()))


def test_the_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BERTUNE_TOKEN", raising=False)
    assert read_token(ServeConfig()) is None
    monkeypatch.setenv("BERTUNE_TOKEN", "from-env")
    assert read_token(ServeConfig()) == "from-env"
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert read_token(ServeConfig(token_file=str(file))) == "from-file"
    for content in ("", "two words", "ümlaut"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="must contain a single token"):
            read_token(ServeConfig(token_file=str(file)))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(ServeConfig(token_file=str(tmp_path / "none")))


def test_browsers_of_other_origins_get_no_permission(reviews: Running) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    with reviews.client() as client:
        answers = [client.options(PREDICT, headers=headers), client.get("/models", headers=headers)]
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)


def test_an_address_in_use_is_refused_at_once() -> None:
    with listening("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        message = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        with pytest.raises(ConfigError, match=message), listening("127.0.0.1", port):
            pass
    with pytest.raises(ConfigError, match="not an address of this machine"), listening("no.such.host.", 0):
        pass
    # 192.0.2.0/24 is reserved for documentation, so no machine has this address.
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 is not an address of this machine. Set --host"):
        listening("192.0.2.1", 0).__enter__()


def test_a_wrong_fallback_is_refused_before_the_models_are_loaded() -> None:
    with pytest.raises(ConfigError, match=r"^--fallback must be a URL such as .*, got foo$"):
        serve([Source("a", "no/such/run")], {}, port=0, fallback="foo")
