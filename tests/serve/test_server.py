"""The server before its models are loaded, if they cannot be loaded, and if it is stopped twice."""

import queue
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from running import PREDICT, wait_until
from test_command import command

from bertune.config import ServeConfig
from bertune.errors import ModelError
from bertune.serve.metrics import Metrics
from bertune.serve.opening import open_models
from bertune.serve.parallel import ComputeThreads
from bertune.serve.server import Server, listening
from bertune.serve.service import Service
from bertune.serve.sources import named_sources
from bertune.settings import resolve


def test_nothing_is_answered_before_the_models_are_loaded(reviews_run: Path) -> None:
    may_load, ready = threading.Event(), queue.Queue[str]()
    given = {"machine": {"threads": 1}}
    config = resolve(given)

    def load(threads: ComputeThreads) -> Service:
        assert may_load.wait(60)
        metrics = Metrics()
        models = open_models(named_sources([f"reviews={reviews_run}"]), config, given, metrics, threads)
        return Service(models, config.serve, metrics)

    with listening("127.0.0.1", 0) as listener:
        server = Server(load, config.serve, listener, ready.put)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            waiting = [answer(server.url + path) for path in ("/ready", "/health", "/models", PREDICT)]
            may_load.set()
            url = ready.get(timeout=120)
            loaded = [answer(url + path) for path in ("/ready", "/health", "/models")]
        finally:
            may_load.set()
            server.stop()
            thread.join(timeout=60)
    assert [found.status_code for found in waiting] == [503] * 4
    assert all(found.headers["Retry-After"] == "1" for found in waiting)
    assert [found.status_code for found in loaded] == [200] * 3
    assert all(
        found.headers["Keep-Alive"] == "timeout=25" for found in (*waiting, *loaded)
    )  # closed after 30


def answer(url: str) -> httpx.Response:
    """The response, once the server listens."""
    while True:
        try:
            return httpx.get(url)
        except httpx.ConnectError:
            time.sleep(0.01)


def test_models_that_cannot_be_loaded_stop_the_server() -> None:
    def load(threads: ComputeThreads) -> Service:
        raise ModelError("the weights are damaged")

    with listening("127.0.0.1", 0) as listener:
        server = Server(load, ServeConfig(), listener)
        with pytest.raises(ModelError, match="the weights are damaged"):
            server.run()


def test_a_second_signal_does_not_wait_for_requests(reviews_run: Path) -> None:
    with command(f"reviews={reviews_run}") as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(
                b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
            )
            assert httpx.get(f"{url}/ready").status_code == 200
            process.send_signal(signal.SIGINT)
            wait_until(lambda: is_refused(url))  # it listens no more, and waits for the body
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, logs = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: stopped before all requests were answered" in logs


def is_refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/ready")
    except httpx.TransportError:
        return True
    return False
