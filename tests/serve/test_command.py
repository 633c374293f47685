"""`bertune serve` as a command: it prints its URL, answers, and finishes what is in flight when stopped."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tiny import BIN, bertune


@contextmanager
def command(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a command that serves, and the URL that it printed."""
    process = subprocess.Popen(
        [str(BIN), "serve", *map(str, arguments), "--port", "0", "machine.threads=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate()[1]
        yield process, url
    finally:
        process.kill()
        process.communicate()


def test_a_signal_stops_the_service_after_the_requests_in_flight(reviews_run: Path) -> None:
    with command(f"reviews={reviews_run}") as (process, url):
        address = url.removeprefix("http://").split(":")
        body = json.dumps({"rows": ["a secretword lamp"] * 900}).encode()
        head = b"POST /models/reviews/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
            connection.sendall(head + body[:100])
            assert httpx.get(f"{url}/ready").status_code == 200  # the request has arrived in part
            process.send_signal(signal.SIGTERM)
            connection.sendall(body[100:])
            answer = b""
            while part := connection.recv(1 << 20):
                answer += part
        _, logs = process.communicate(timeout=60)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == 900
    assert process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ready")
    events = [json.loads(line) for line in logs.splitlines()]
    assert {event["event"] for event in events} >= {"measured", "serving", "request"}
    answered = next(e for e in events if e["event"] == "request" and e["method"] == "POST")
    assert (answered["endpoint"], answered["status"]) == ("/models/{name}/predict", 200)
    assert "secretword" not in logs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["no/such/run"],
            "no/such/run is not a run or an export, and cannot be loaded as a pretrained encoder",
        ),
        (["serve.timeout=5"], "no model to serve"),
        (["RUN", "serve.timeout=-1"], "serve.timeout must be greater than 0"),
        (["RUN", "serve.backend=onnx"], "has no ONNX export"),
        (["a=RUN", "a=RUN"], 'two models have the name "a"'),
        (["a/b=RUN"], "a/b="),
        (["RUN", "serve.token_file=none.txt"], "serve.token_file=none.txt cannot be read"),
        (["RUN", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1:0"),
    ],
)
def test_what_cannot_be_served_is_refused(reviews_run: Path, arguments: list[str], message: str) -> None:
    given = [argument.replace("RUN", str(reviews_run)) for argument in arguments]
    found = bertune("serve", *given, "--port", "0")
    assert found.code == 3, found.err
    assert message in found.err
    assert found.out == ""
