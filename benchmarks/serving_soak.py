"""Twice the sustainable load on `bertune serve`, with slow, disconnecting and misbehaving clients.

    BERTUNE_DATA=DATA python benchmarks/serving_soak.py --cache CACHE --minutes 10

CACHE is that of benchmarks/serving.py. Half of the texts are sent in requests of their own, the others up to
32 at a time. Prints what every kind of client got, and exits with 1 if

- an answer differs from that of `Model.predict`, or a client gets a status that it should not get;
- the memory of the server grows: the line fitted to its resident memory in the second half of the time, while
  the load is constant, may rise by at most 2%;
- /health does not answer, the queue does not drain after the load, or the server does not answer what is in
  flight at SIGTERM and then exit with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import secrets
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from serving_clients import HOSTILE, Target, ordinary, run
from serving_sides import BERTUNE, TOLERANCE, Server, model_folder, offline, serving, workload

_MOST_GROWTH = 0.02  # of the resident memory, over the second half
_MOST_TEXTS = 1000
_SEVERAL = 32  # texts of a larger request
_HOSTILE_PER_SECOND = 1.0  # of each kind
_STALLED_PER_SECOND = 0.3  # of the following kinds, which occupy a connection for long, or send a lot
_EXPENSIVE = {"body that never ends", "head that never ends", "slow writer", "slow reader", "oversized body"}
_BUSY = {"200", "429", "503"}

Client = Callable[[Target], Awaitable[str]]


@dataclass
class Soak:
    """The load, and what came of it."""

    target: Target
    server: Server
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    problems: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, MB
    running: set[asyncio.Task[None]] = field(default_factory=set)
    slowest_health: float = 0.0

    def start(self, name: str, client: Client, allowed: set[str]) -> None:
        """Run a client in the background and record its outcome."""

        async def work() -> None:
            _, outcome = await run(name, client, self.target)
            kind = outcome if len(outcome) < 20 else "wrong"
            self.outcomes[name][kind] += 1
            if kind not in allowed:
                self.problems.append(f"{name}: {outcome}")

        task = asyncio.create_task(work())
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def arrivals(self, name: str, client: Client, allowed: set[str], rate: float, end: float) -> None:
        """Start clients as a Poisson process of `rate` per second, until the time `end`."""
        draw = random.Random(name)
        due = time.monotonic()
        while (due := due + draw.expovariate(rate)) < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.start(name, client, allowed)

    async def watch(self, end: float) -> None:
        """Ask for the health, and record the memory, twice per second."""
        process, start = psutil.Process(self.server.process.pid), time.monotonic()
        while time.monotonic() < end:
            before = time.monotonic()
            status = (await self.get("/health"))[0]
            self.slowest_health = max(self.slowest_health, time.monotonic() - before)
            if status != "200":
                self.problems.append(f"/health: {status}")
            self.memory.append((before - start, process.memory_info().rss / 1e6))
            await asyncio.sleep(0.5)

    async def get(self, path: str) -> tuple[str, str]:
        """The status and the body of a GET request."""

        async def client(target: Target) -> str:
            async with target.connected() as connection:
                reply = await connection.exchange(target.request(b"", path, "GET"))
                found.append(reply.body.decode())
                return reply.status

        found: list[str] = []
        _, status = await run(path, client, self.target)
        return status, "".join(found)

    async def wait(self, seconds: float) -> None:
        """Wait for the clients that are still running."""
        if self.running:
            _, pending = await asyncio.wait(list(self.running), timeout=seconds)
            if pending:
                self.problems.append(f"{len(pending)} clients are still waiting after {seconds:.0f} seconds")


async def sustainable(target: Target, seconds: float) -> float:
    """Texts per second with 48 ordinary clients that send a request as soon as they have an answer."""
    start = time.monotonic()

    async def loop(most: int) -> None:
        while time.monotonic() < start + seconds:
            _, status = await run("warm-up", lambda t: ordinary(t, most), target)
            if status != "200":
                raise SystemExit(f"an ordinary request got {status} before the load; use a longer --timeout")

    await asyncio.gather(*(loop(1 if number % 2 else _SEVERAL) for number in range(48)))
    return target.answered_texts / (time.monotonic() - start)


async def soak(found: Soak, seconds: float, texts_per_second: float) -> None:
    """The whole load, and the end of the service."""
    end = time.monotonic() + seconds
    several = texts_per_second / 2 / ((1 + _SEVERAL) / 2)
    loads = [
        found.arrivals("single texts", lambda t: ordinary(t, 1), _BUSY, texts_per_second / 2, end),
        found.arrivals("several texts", lambda t: ordinary(t, _SEVERAL), _BUSY, several, end),
    ]
    for name, (client, allowed) in HOSTILE.items():
        rate = _STALLED_PER_SECOND if name in _EXPENSIVE else _HOSTILE_PER_SECOND
        loads.append(found.arrivals(name, client, allowed, rate, end))
    await asyncio.gather(*loads, found.watch(end))
    await found.wait(found.target.patience)
    await drained(found)
    await stopped(found)


async def drained(found: Soak) -> None:
    """Check that nothing waits any more, and that the service answers."""
    _, metrics = await found.get("/metrics")
    queued = re.findall(r"^bertune_queued_(?:sequences|tokens)\{.*\} ([\d.e+]+)$", metrics, re.M)
    if not queued or any(float(value) for value in queued):
        found.problems.append(f"the queue did not drain: {queued}")
    found.start("after the load", lambda t: ordinary(t, 1), {"200"})
    await found.wait(found.target.patience)


async def stopped(found: Soak) -> None:
    """SIGTERM while requests are in flight: all are answered, and the server exits with 0."""
    for _ in range(20):
        found.start("in flight at SIGTERM", lambda t: ordinary(t, 8), {"200"})
    await asyncio.sleep(0.05)  # until all are sent
    found.server.process.send_signal(signal.SIGTERM)
    await found.wait(found.target.patience)
    for _ in range(600):
        if found.server.process.poll() is not None:
            break
        await asyncio.sleep(0.1)
    if found.server.process.returncode != 0:
        found.problems.append(f"the server ended with {found.server.process.returncode} after SIGTERM")


def growth(memory: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean memory in MB in the second half, and by how much the fitted line rises there."""
    points = np.array(memory[len(memory) // 2 :])
    slope = np.polyfit(points[:, 0], points[:, 1], 1)[0] if len(points) > 2 else 0.0
    return float(points[:, 1].mean()), float(slope * (points[-1, 0] - points[0, 0]))


def report(found: Soak, offered: float) -> bool:
    """Print the outcomes; whether there was no problem."""
    for name, outcomes in found.outcomes.items():
        print(f"{name:26} {dict(outcomes.most_common())}")
    mean, rise = growth(found.memory)
    if rise > _MOST_GROWTH * mean:
        found.problems.append(f"the memory grew by {rise:.1f} MB of {mean:.0f} MB in the second half")
    print(
        f"offered {offered:.0f} texts/s; memory {found.memory[0][1]:.0f} MB at the start, {mean:.0f} MB on "
        f"average in the second half, rising by {rise:.1f} MB; slowest /health "
        f"{1000 * found.slowest_health:.0f} ms"
    )
    for problem, count in Counter(found.problems).most_common(20):
        print(f"PROBLEM ({count}): {problem[:500]}")
    return not found.problems


def main() -> int:
    """Run the soak; 1 if there was a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--format", default="onnx", choices=("onnx-int8", "onnx", "run"))
    parser.add_argument("--workload", default="sst2")
    parser.add_argument("--rate", type=float, help="texts per second; default: twice what is measured first")
    parser.add_argument("--timeout", type=float, default=30.0, help="serve.timeout")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder, texts = model_folder(options.format, options.cache), workload(options.workload, options.cache)
    answers = options.cache / f"answers-{texts.name}-{options.format}.json"
    if not answers.is_file():
        offline(folder, texts, 0, answers)
    token = options.cache / "token"
    token.write_text(secrets.token_hex(16), encoding="utf-8")
    settings = (f"serve.token_file={token}", f"serve.timeout={options.timeout}", "serve.max_body_mb=2")
    command = (*BERTUNE, "serve", str(folder), "--port", "0", *settings)
    with serving(command, None, options.cache / "soak.log") as server:
        host, port = server.address
        target = Target(
            host, port, token.read_text(), texts.texts, json.loads(answers.read_bytes()),
            TOLERANCE[options.format], _MOST_TEXTS, 2_000_000, options.timeout + 60,
        )  # fmt: skip
        found = Soak(target, server)

        async def whole() -> float:
            offered = options.rate or 2 * await sustainable(target, min(10.0, 10 * options.minutes))
            await soak(found, 60 * options.minutes, offered)
            return offered

        offered = asyncio.run(whole())
    return 0 if report(found, offered) else 1


if __name__ == "__main__":
    sys.exit(main())
