"""The parts of benchmarks/serving.py: the model and the texts, the servers, and single measurements."""

from __future__ import annotations

import contextlib
import csv
import gzip
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

HERE = Path(__file__).parent
BERTUNE = (sys.executable, "-m", "bertune")
FORMATS = ("onnx-int8", "onnx", "run")
# Of a probability. A difference by rounding in fp32 can become a step of an int8 activation.
TOLERANCE = {"onnx": 1e-4, "onnx-int8": 1e-3, "run": 2e-2, "peer": 1e-3}
_MOST_FLIPS = 0.005  # of the labels, for texts between two labels
_TRAINING_ROWS = 4000
_MOST_TEXTS = 2000
_ENOUGH = 0.93  # of the offered requests answered in time; below, the service is saturated
_STEP = 1.12
CONNECTIONS = 64  # as many requests can wait at the same time


@dataclass(frozen=True)
class Texts:
    """The texts of a workload, with the offline answers of a model."""

    name: str
    path: Path
    texts: list[str]


def data_folder() -> Path:
    """The folder of the data sets. Exits if BERTUNE_DATA is not set."""
    folder = os.environ.get("BERTUNE_DATA")
    if not folder:
        raise SystemExit("set BERTUNE_DATA to the folder with the data sets sst2, ag_news and imdb")
    return Path(folder)


def workload(name: str, cache: Path) -> Texts:
    """The texts of a workload: sst2, ag_news, imdb, or mixed: a tenth from imdb, the others from sst2."""
    path = cache / f"{name}.json"
    if not path.is_file():
        path.write_text(json.dumps(_read_texts(name)), encoding="utf-8")
    return Texts(name, path, json.loads(path.read_bytes()))


def _read_texts(name: str) -> list[str]:
    data = data_folder()
    if name == "sst2":
        lines = (data / "sst2" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return [line.rsplit("\t", 1)[0].strip() for line in lines]
    if name == "ag_news":
        with (data / "ag_news" / "test.csv").open(encoding="utf-8", newline="") as file:
            return [f"{row[1]}. {row[2]}" for row in list(csv.reader(file))[:_MOST_TEXTS]]
    if name == "imdb":
        with gzip.open(data / "imdb" / "test.csv.gz", "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        return [max(row, key=len) for row in rows[:: max(1, len(rows) // _MOST_TEXTS)]][:_MOST_TEXTS]
    short, long = _read_texts("sst2"), _read_texts("imdb")
    return [long[i // 10] if i % 10 == 9 else text for i, text in enumerate(short)]


def model_folder(kind: str, cache: Path) -> Path:
    """A run of MiniLM, briefly trained on SST-2, or an export of it. Both are created on first use."""
    run = cache / "run"
    if not (run / "report").is_dir():
        rows = (data_folder() / "sst2" / "train.tsv").read_text(encoding="utf-8").splitlines()
        table = cache / "train.tsv"
        table.write_text("\n".join(rows[: _TRAINING_ROWS + 1]) + "\n", encoding="utf-8")
        settings = ("model.name=minilm", "train.epochs=1")
        subprocess.run((*BERTUNE, "train", str(table), *settings, "--out", str(run)), check=True)
    if kind == "run":
        return run
    if not (run / "export" / kind).is_dir():
        subprocess.run((*BERTUNE, "export", str(run), "--to", kind), check=True)
    return run / "export" / kind


@dataclass(frozen=True)
class Cpus:
    """The CPUs of the services and of offline prediction, and those of the clients; empty for all."""

    server: tuple[int, ...] = ()
    clients: tuple[int, ...] = ()

    @classmethod
    def separate(cls, server: Sequence[int]) -> Cpus:
        """All CPUs that are not for the server are for the clients. Exits if none is left."""
        clients = sorted(set(os.sched_getaffinity(0)) - set(server))
        if not clients:
            raise SystemExit("--server-cpus: no CPU is left for the clients")
        return cls(tuple(sorted(server)), tuple(clients))


SHARED = Cpus()


def pinned(command: Sequence[str], cpus: Sequence[int]) -> tuple[str, ...]:
    """The command, limited to some CPUs if there are any."""
    return (*(("taskset", "--cpu-list", ",".join(map(str, cpus))) if cpus else ()), *command)


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    seconds: float  # from the start of the command to the first answer
    client_cpus: Sequence[int] = ()  # of those who load it

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port
        return parts.hostname, parts.port

    def cpu_seconds(self) -> float:
        """The CPU time that the process has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def serving(command: Sequence[str], text: str | None, log: Path, cpus: Cpus = SHARED) -> Iterator[Server]:
    """A server until the end of the block; it must print its URL. `text`, if given, is predicted first."""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            pinned(command, cpus.server), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit(f"the server did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
        server = Server(process, url, 0.0, cpus.clients)
        if text is not None:
            predict(server, text)
        server.seconds = time.perf_counter() - started
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def predict(server: Server, text: str) -> Any:
    """One answer."""
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    body = json.dumps({"inputs": text, "truncate": True})
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    found = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"the server answered {response.status}: {found[:500]!r}")
    return json.loads(found)


def offline(
    folder: Path, texts: Texts, seconds: float, answers: Path | None = None, cpus: Cpus = SHARED
) -> float:
    """Texts per second of `Model.predict` in a process of its own, which can also write its answers."""
    more = () if answers is None else ("--answers", str(answers))
    program = str(HERE / "serving_offline.py")
    command = (sys.executable, program, str(folder), str(texts.path), str(seconds), *more)
    done = subprocess.run(pinned(command, cpus.server), capture_output=True, text=True, check=True)
    found: float = json.loads(done.stdout)["texts_per_second"]
    return found


@dataclass(frozen=True)
class Client:
    """Sends the texts of a workload to a server, some per request, and compares the answers."""

    server: Server
    texts: list[str]
    answers: list[dict[str, float]]
    tolerance: float
    per_request: int = 1
    bodies: list[str] = field(init=False)
    expected: list[list[dict[str, float]]] = field(init=False)

    def __post_init__(self) -> None:
        size = self.per_request
        whole = range(0, len(self.texts) - len(self.texts) % size, size)
        inputs = [
            self.texts[i] if size == 1 else [[text] for text in self.texts[i : i + size]] for i in whole
        ]
        object.__setattr__(self, "bodies", [json.dumps({"inputs": i, "truncate": True}) for i in inputs])
        object.__setattr__(self, "expected", [self.answers[i : i + size] for i in whole])

    def send(self, seconds: float, rate: float | None = None, connections: int = 1) -> dict[str, Any]:
        """Send a load. Returns the outcome of serving_load.py, and the CPU time of the server."""
        host, port = self.server.address
        load = {
            "host": host, "port": port, "path": "/predict", "bodies": self.bodies, "answers": self.expected,
            "seconds": seconds, "rate": rate, "connections": connections, "tolerance": self.tolerance,
            "warm_up": min(1.0, seconds / 4),
        }  # fmt: skip
        before = self.server.cpu_seconds()
        program = pinned((sys.executable, str(HERE / "serving_load.py")), self.server.client_cpus)
        done = subprocess.run(program, input=json.dumps(load), capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        requests = sum(found["statuses"].values())
        spent = self.server.cpu_seconds() - before
        found["server_cpu_microseconds"] = round(1e6 * spent / max(1, requests) / self.per_request, 1)
        refuse_wrong(found)
        return found

    def saturate(self, seconds: float, start: float) -> dict[str, Any]:
        """Raise the rate until the throughput no longer follows, from `start` texts per second or less.

        Returns the highest throughput in texts per second, the highest rate that was sustained, and all
        steps.
        """
        steps: list[dict[str, Any]] = []
        rate, behind, is_sustained = start, 0, False
        while behind < 2 and len(steps) < 20:
            found = self.send(seconds, rate / self.per_request, connections=CONNECTIONS)
            steps.append(found)
            is_behind = found["answered"] < _ENOUGH * found["offered"]
            is_sustained |= not is_behind
            behind += is_behind and is_sustained
            rate = rate * _STEP if is_sustained else rate / 2
        best = max(steps, key=lambda step: step["answered_texts"])
        kept = [step for step in steps if step["answered"] >= _ENOUGH * step["offered"]]
        sustained = max((step["offered"] * self.per_request for step in kept), default=0.0)
        return {"texts_per_second": best["answered_texts"], "sustained": sustained, "steps": steps}

    def wrk(self, seconds: int, connections: int, folder: Path) -> float | None:
        """The throughput in texts per second that wrk reports; None if it is not installed."""
        bodies = folder / "bodies.jsonl"
        bodies.write_text("\n".join(self.bodies) + "\n", encoding="utf-8")
        script = str(HERE / "serving_wrk.lua")
        command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script)
        environment = {**os.environ, "BODIES": str(bodies)}
        try:
            whole = pinned((*command, f"{self.server.url}/predict"), self.server.client_cpus)
            done = subprocess.run(whole, env=environment, capture_output=True, text=True)
        except FileNotFoundError:
            return None
        if "Non-2xx" in done.stdout or done.returncode:
            raise SystemExit(f"wrk failed or got refusals:\n{done.stdout}{done.stderr}")
        rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
        assert rate is not None, done.stdout
        return float(rate[1]) * self.per_request


def refuse_wrong(found: dict[str, Any]) -> None:
    """Exit if an answer was wrong, missing, or neither a prediction nor a refusal because of the load."""
    unexpected = found["statuses"].keys() - {"200", "429", "503"}
    if found["wrong"] or unexpected or found["flips"] > _MOST_FLIPS:
        raise SystemExit(
            f"{found['wrong']} wrong answers, {found['flips']:.1%} other labels, statuses "
            f"{found['statuses']}: {found['examples']}"
        )
