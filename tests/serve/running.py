"""A real service on a free port, in a thread of the tests, and models whose computation a test can hold."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from bertune.config import Config
from bertune.predict.backend import Backend, BackendOutputs, Poll, Runtime, never_stop
from bertune.serve.batcher import Batcher
from bertune.serve.metrics import Metrics
from bertune.serve.opening import open_models
from bertune.serve.parallel import ComputeThreads
from bertune.serve.schedule import Costs, Schedule
from bertune.serve.server import Server, listening
from bertune.serve.service import ServedModel, Service
from bertune.serve.sources import named_sources
from bertune.settings import resolve
from bertune.text.sequences import Sequence

PREDICT = "/models/reviews/predict"


@dataclass(frozen=True)
class Running:
    """A running service."""

    url: str
    service: Service
    server: Server

    def client(self, **options: Any) -> httpx.Client:
        # verify=False, because reading the certificates of the system takes longer than a request.
        return httpx.Client(base_url=self.url, timeout=60, verify=False, **options)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)


@contextlib.contextmanager
def running(make: Callable[[ComputeThreads], Service], config: Config) -> Iterator[Running]:
    """A service until the end of the block; `make` loads its models."""
    ready: queue.Queue[str | None] = queue.Queue()
    made: list[Service] = []

    def load(threads: ComputeThreads) -> Service:
        made.append(make(threads))
        return made[0]

    with listening("127.0.0.1", 0) as listener:
        server = Server(load, config.serve, listener, ready.put)

        def run() -> None:
            try:
                server.run()
            finally:
                ready.put(None)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            url = ready.get(timeout=120)
            assert url is not None, "the service did not start"
            yield Running(url, made[0], server)
        finally:
            server.stop()
            thread.join(timeout=60)
            assert not thread.is_alive(), "the service did not stop"


@contextlib.contextmanager
def serving(
    places: SequenceOf[Path | str],
    settings: dict[str, dict[str, Any]] | None = None,
    *,
    token: str | None = None,
    change: Callable[[dict[str, ServedModel]], dict[str, ServedModel]] = lambda models: models,
    **more: Any,
) -> Iterator[Running]:
    """A service for folders, with settings and further arguments of Service. `change` may replace models."""
    given = {"machine": {"threads": 1}, **(settings or {})}
    config = resolve(given)

    def make(threads: ComputeThreads) -> Service:
        metrics = Metrics()
        models = open_models(named_sources([str(place) for place in places]), config, given, metrics, threads)
        return Service(change(models), config.serve, metrics, token=token, **more)

    with running(make, config) as found:
        yield found


class Held:
    """A real backend that computes nothing before the test lets it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._allowed = threading.Semaphore(0)
        self.started = threading.Semaphore(0)  # released at the start of each batch
        self.batches: list[list[int]] = []  # the lengths of the sequences of each batch
        self.groups: list[list[int]] = []  # and their groups

    @property
    def runtime(self) -> Runtime:
        return self._backend.runtime

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        self.batches.append([len(s) for s in sequences])
        self.groups.append([s.group for s in sequences])
        self.started.release()
        assert self._allowed.acquire(timeout=60), "the test never let the batch be computed"
        return self._backend(sequences, poll)

    def let(self, batches: int = 10_000) -> None:
        """Let some batches be computed."""
        self._allowed.release(batches)

    def wait(self) -> None:
        """Wait until a batch is being computed that was not waited for yet."""
        assert self.started.acquire(timeout=60), "no batch was started"


# So slow that no deadline passes during a test.
_COSTS = Costs(tokens_per_second=10, call_tokens=0, pads=True)


def held(served: ServedModel, max_tokens: int | None = None) -> tuple[ServedModel, Held]:
    """A served model whose backend is `Held`; `max_tokens` is the limit of a batch."""
    backend = Held(served.model.backend)
    old = served.batcher
    schedule = Schedule(max_tokens or old.max_batch_tokens, _COSTS)
    batcher = Batcher(backend, schedule, served.config.max_queued_tokens, old.threads)
    served.metrics.watch(served.name, batcher, served.drift)
    old.close()
    return replace(served, batcher=batcher), backend


@contextlib.contextmanager
def holding(run: Path, max_tokens: int | None = None, **settings: object) -> Iterator[tuple[Running, Held]]:
    """A service whose model computes nothing before the test lets it, with settings of [serve]."""
    found: list[Held] = []

    def change(models: dict[str, ServedModel]) -> dict[str, ServedModel]:
        served, backend = held(models["reviews"], max_tokens)
        found.append(backend)
        return {"reviews": served}

    with serving([run], {"serve": dict(settings)}, change=change) as running:
        try:
            yield running, found[0]
        finally:
            found[0].let()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most for a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.005)


def posted(running: Running, rows: list[str]) -> tuple[threading.Thread, list[httpx.Response]]:
    """A request in a thread of its own, and the list that its response is appended to."""
    answers: list[httpx.Response] = []

    def post() -> None:
        with running.client() as client:
            answers.append(client.post(PREDICT, json={"rows": rows}))

    thread = threading.Thread(target=post)
    thread.start()
    return thread, answers
