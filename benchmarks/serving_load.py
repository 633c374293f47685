"""An open-loop load generator for HTTP services that predict texts, and a check of every answer.

    python benchmarks/serving_load.py < LOAD.json

Prints the result as one line of JSON. Requests are sent at the times of a Poisson process, whether or not
earlier ones have been answered, and latency counts from the scheduled time: a slow service cannot slow the
load down. Without a rate, a fixed number of connections sends a request as soon as the previous one is
answered.

The generator shares the machine with the service, so it is built to use little of it: one thread, an epoll
loop, request bytes prepared in advance, and answers that are stored during the load and checked afterwards.
Its CPU time is part of the result. It stands for clients on other machines, so on Linux it asks for short
slices of CPU time: otherwise, it would wait for the service to use up a slice before it sends or receives.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import platform
import random
import select
import socket
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = os.O_NONBLOCK
_MOST_READ = 262_144  # bytes per call of recv
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # number of the system call, by machine
_SLICE = 100_000  # nanoseconds, the shortest that Linux accepts (6.12 or later; ignored before)


@dataclass(frozen=True)
class Load:
    """What to send. The bodies are sent in turn, each to `path`."""

    host: str
    port: int
    path: str
    bodies: list[str]  # JSON
    answers: list[list[dict[str, float]]]  # of each body: for each text the probability of every label
    seconds: float  # during which requests are sent
    rate: float | None = None  # requests per second; None: as fast as the connections are answered
    connections: int = 1  # open at the start; with a rate, further ones are opened if all are busy
    most_connections: int = 8000
    warm_up: float = 1.0  # seconds at the start that are not counted
    drain: float = 30.0  # seconds to wait for outstanding answers
    tolerance: float = 1e-4
    seed: int = 0


@dataclass
class Outcome:
    """What came back. Rates and latencies leave the warm-up out."""

    offered: float  # requests per second; with a fixed number of connections that which was reached
    answered: float  # requests per second that were answered with 200 while the load lasted
    answered_texts: float  # texts per second
    latency: dict[str, float]  # milliseconds from the scheduled time: mean and percentiles
    statuses: dict[str, int]  # of all requests; "lost" for those without an answer
    wrong: int  # answers with 200 in which a probability differs by more than the tolerance
    flips: float  # share of texts whose most probable label is not the expected one
    largest_difference: float  # of a probability
    late_p99: float  # milliseconds by which the generator itself was late
    cpu_microseconds: float  # of the generator, per request
    connections: int
    examples: list[str] = field(default_factory=list)  # some wrong answers and errors


@dataclass(eq=False, slots=True)
class _Connection:
    """A connection and the request that it waits for."""

    sock: socket.socket
    number: int | None = None  # of the request; None while idle
    received: bytes = b""


class Generator:
    """Sends a load and stores what comes back."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = [_request(load, body) for body in load.bodies]
        self.scheduled: list[float] = []  # of each request, seconds since the start
        self.sent: list[float] = []
        self.done: list[float] = []  # 0 while there is no answer
        self.replies: list[bytes] = []
        self._epoll = select.epoll()
        self.connections: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._unsent: deque[int] = deque()  # requests for which no connection was free
        self._start = 0.0

    def run(self) -> None:
        """Send everything and wait for the answers."""
        load = self.load
        for _ in range(load.connections):
            self._idle.append(self._open())
        self._start = time.perf_counter()
        if load.rate is None:
            for _ in range(load.connections):
                self._send_now()
            self._wait_for(lambda now: now >= load.seconds)
        else:
            self._send_on_time(_arrivals(load.rate, load.seconds, load.seed))
        limit = self._now() + load.drain
        self._wait_for(lambda now: now > limit or len(self._idle) == len(self.connections))
        for connection in self.connections.values():
            connection.sock.close()
        self._epoll.close()

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _send_on_time(self, arrivals: list[float]) -> None:
        timer = _Timer()
        self._epoll.register(timer.descriptor, select.EPOLLIN)
        for arrival in arrivals:
            ahead = arrival - self._now()
            if ahead > 0:
                timer.set(ahead)
                while self._now() < arrival:
                    self._handle(-1, timer.descriptor)
            else:  # late, but answers that have arrived free connections
                self._handle(0, timer.descriptor)
            self._new(arrival)
        self._epoll.unregister(timer.descriptor)
        timer.close()

    def _wait_for(self, is_over: Any) -> None:
        while not is_over(self._now()):
            self._handle(0.05)

    def _send_now(self) -> None:
        now = self._now()
        if now < self.load.seconds:
            self._new(now)

    def _new(self, arrival: float) -> None:
        number = len(self.scheduled)
        self.scheduled.append(arrival)
        self.sent.append(0.0)
        self.done.append(0.0)
        self.replies.append(b"")
        if self._idle:
            self._send(self._idle.pop(), number)
        elif len(self.connections) < self.load.most_connections:
            self._send(self._open(), number)
        else:
            self._unsent.append(number)

    def _send(self, connection: _Connection, number: int) -> None:
        connection.number = number
        self.sent[number] = self._now()
        request = self.requests[number % len(self.requests)]
        try:
            connection.sock.sendall(request)
        except OSError:
            self._lost(connection)

    def _open(self) -> _Connection:
        sock = socket.create_connection((self.load.host, self.load.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock)
        self.connections[sock.fileno()] = connection
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return connection

    def _handle(self, timeout: float, timer: int = -1) -> None:
        """Handle what has arrived; wait for at most `timeout` seconds, or until the timer if it is -1."""
        for descriptor, _ in self._epoll.poll(timeout):
            if descriptor == timer:
                os.read(timer, 8)
                continue
            connection = self.connections[descriptor]
            try:
                data = connection.sock.recv(_MOST_READ)
            except OSError:
                data = b""
            if not data:
                self._lost(connection)
            elif _is_complete(received := connection.received + data):
                self._complete(connection, received)
            else:
                connection.received = received

    def _complete(self, connection: _Connection, received: bytes) -> None:
        number = connection.number
        assert number is not None, "an answer without a request"
        self.done[number] = self._now()
        self.replies[number] = received
        connection.number, connection.received = None, b""
        self._idle.append(connection)
        if self._unsent:
            self._send(self._idle.pop(), self._unsent.popleft())
        elif self.load.rate is None:
            self._send_now()

    def _lost(self, connection: _Connection) -> None:
        self._epoll.unregister(connection.sock.fileno())
        del self.connections[connection.sock.fileno()]
        connection.sock.close()
        if connection.number is None and connection in self._idle:
            self._idle.remove(connection)
        elif self.load.rate is None:
            self._idle.append(self._open())
            self._send_now()


class _Timer:
    """A timer of the kernel with a resolution of microseconds; that of epoll is a millisecond."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def set(self, seconds: float) -> None:
        """Let the descriptor become readable once, after some seconds."""
        nanoseconds = max(1, int(seconds * 1e9))
        value = struct.pack("qqqq", 0, 0, *divmod(nanoseconds, 1_000_000_000))
        self._libc.timerfd_settime(self.descriptor, 0, value, None)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


def _arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """The times of a Poisson process."""
    draw = random.Random(seed)
    found: list[float] = []
    now = draw.expovariate(rate)
    while now < seconds:
        found.append(now)
        now += draw.expovariate(rate)
    return found


def _request(load: Load, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _is_complete(received: bytes) -> bool:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = received.find(b"ontent-length: ", 0, end)
    if at < 0:
        at = received.lower().find(b"ontent-length: ", 0, end)
    if at < 0:
        raise ValueError(f"an answer without a length: {received[:200]!r}")
    length = int(received[at + 15 : received.find(b"\r", at, end + 1)])
    return len(received) >= end + 4 + length


def summarize(generator: Generator, cpu_seconds: float) -> Outcome:
    """Check every answer, and compute rates and latencies."""
    load, count = generator.load, len(generator.scheduled)
    statuses: Counter[str] = Counter()
    wrong, largest, examples = 0, 0.0, []
    latencies: list[float] = []
    in_time = texts = offered = compared = flipped = 0
    for number in range(count):
        reply, done, expected = (
            generator.replies[number],
            generator.done[number],
            load.answers[number % len(load.answers)],
        )
        head, _, body = reply.partition(b"\r\n\r\n")
        status = head[9:12].decode() if done else "lost"
        statuses[status] += 1
        if status == "200":
            difference, different_labels = differs(body, expected)
            compared, flipped = compared + len(expected), flipped + different_labels
            largest = max(largest, difference)
            if difference > load.tolerance:
                wrong += 1
                examples.append(f"{load.bodies[number % len(load.bodies)][:200]}: {body[:300]!r}")
        elif status != "429":
            examples.append(f"{status}: {body[:300]!r}")
        if load.warm_up <= done <= load.seconds and status == "200":
            in_time += 1
            texts += len(expected)
        if generator.scheduled[number] >= load.warm_up:
            offered += 1
            if status == "200":
                latencies.append(1000 * (done - generator.scheduled[number]))
    window = load.seconds - load.warm_up
    late = sorted(
        1000 * (sent - due) for sent, due in zip(generator.sent, generator.scheduled, strict=True) if sent
    )
    return Outcome(
        offered=round(offered / window, 2),
        answered=round(in_time / window, 2),
        answered_texts=round(texts / window, 2),
        latency=percentiles(latencies),
        statuses=dict(statuses),
        wrong=wrong,
        flips=round(flipped / max(1, compared), 4),
        largest_difference=largest,
        late_p99=round(percentiles(late).get("p99", 0.0), 3),
        cpu_microseconds=round(1e6 * cpu_seconds / max(1, count), 1),
        connections=len(generator.connections),
        examples=examples[:5],
    )


def differs(body: bytes, expected: list[dict[str, float]]) -> tuple[float, int]:
    """The largest difference of a probability, and the number of texts with another most probable label.

    The difference is infinite for other labels than expected.
    """
    try:
        found = json.loads(body)
        rows = [found] if isinstance(found[0], dict) else found
        got = [{entry["label"]: float(entry["score"]) for entry in row} for row in rows]
    except (ValueError, LookupError, TypeError):
        return math.inf, len(expected)
    if [row.keys() for row in got] != [row.keys() for row in expected]:
        return math.inf, len(expected)
    pairs = list(zip(got, expected, strict=True))
    difference = max(abs(row[label] - wanted[label]) for row, wanted in pairs for label in wanted)
    return difference, sum(
        max(row, key=row.__getitem__) != max(wanted, key=wanted.__getitem__) for row, wanted in pairs
    )


def percentiles(values: list[float]) -> dict[str, float]:
    """The mean and the usual percentiles; empty without values."""
    if not values:
        return {}
    ordered = sorted(values)
    found = {"mean": sum(ordered) / len(ordered)}
    for percent in (50, 90, 99, 100):
        found[f"p{percent}"] = ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
    return {name: round(value, 3) for name, value in found.items()}


def run_soon() -> None:
    """Let this process run soon after it is woken, by asking for short slices of CPU time."""
    number = _SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if number is not None:
        # struct sched_attr: size, policy, flags, nice, priority, slice, and two fields for deadlines
        attributes = struct.pack("IIQiIQQQ", 48, os.SCHED_OTHER, 0, 0, 0, _SLICE, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


def main() -> None:
    """Read a load from standard input and print its outcome."""
    run_soon()
    generator = Generator(Load(**json.load(sys.stdin)))
    before = time.process_time()
    generator.run()
    cpu = time.process_time() - before
    print(json.dumps(asdict(summarize(generator, cpu))))


if __name__ == "__main__":
    main()
