"""Throughput and latency of `bertune serve`, compared with offline prediction and a plain FastAPI server.

    BERTUNE_DATA=DATA python benchmarks/serving.py --cache CACHE --rounds 3

CACHE is a folder outside the repository for the model, its exports and texts; they are created on first use.
Every measurement is stored at once, so an interrupted run continues where it stopped. `--fresh` starts again.

A round measures, in turn and for each workload, the plain server and each format of the model: the time from
the shell command to the first answer; the throughput at saturation with one text per request; the latency of
single texts on the idle service and at half of this throughput, in turn; then the rate of `Model.predict` and
the throughput of clients that send one text, or 32, as soon as they have the previous answer, in turn.
Those are measured in turn because the speed of a virtual machine can change every few seconds.
Each answer is compared with that of `Model.predict`. If `wrk` is installed, it checks the throughput.

The service and the generator share all CPUs, unless some are reserved for the service and for offline
prediction, as if the clients were other machines:

    BERTUNE_DATA=DATA python benchmarks/serving.py --cache CACHE --server-cpus 0 1
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving_page import page, table
from serving_sides import (
    BERTUNE,
    CONNECTIONS,
    FORMATS,
    HERE,
    SHARED,
    TOLERANCE,
    Client,
    Cpus,
    model_folder,
    offline,
    serving,
    workload,
)

from bertune.bench.environment import machine, versions

RESULTS = HERE / "results" / "serving"  # a file per number of CPUs
PAGE = HERE / "serving.md"
PEER = "peer"
PER_REQUEST = 32
FEWER = 8  # connections with 32 texts per request
TURNS = 3  # per round, of measurements that are compared


@dataclass(frozen=True)
class Plan:
    """What to measure, and where to store it."""

    cache: Path
    out: Path
    seconds: float
    stages: frozenset[str]
    rounds: dict[str, Any]  # by number; changed as measurements arrive
    cpus: Cpus

    def measure(self, number: int, key: str, stage: str, work: Callable[[], Any]) -> Any:
        """The stored result of a stage, or a new one; None for a stage that is not selected."""
        values = self.rounds.setdefault(str(number), {}).setdefault(key, {})
        if self.is_missing(number, key, stage):
            values[stage] = work()
            values.setdefault("load_average", []).append(round(os.getloadavg()[0], 1))
            self.store()
            print(f"round {number}, {key}: {stage}: {_short(values[stage])}", flush=True)
        return values.get(stage)

    def is_missing(self, number: int, key: str, *stages: str) -> bool:
        """Whether one of the stages is selected and has no result yet."""
        values = self.rounds.get(str(number), {}).get(key, {})
        return any(stage not in values and stage in self.stages for stage in stages)

    def store(self) -> None:
        """Write everything measured so far."""
        found = {
            "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine(),
            "versions": versions(),
            "seconds": self.seconds,
            "turns": TURNS,
            "server_cpus": list(self.cpus.server),
            "texts_per_request": PER_REQUEST,
            "connections": {"1": CONNECTIONS, str(PER_REQUEST): FEWER},
            "rounds": self.rounds,
        }
        partial = self.out.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.out)


STAGES = ("start", "saturation", "latency", "throughput", "wrk")
_OF_PEER = ("start", "saturation", "latency")


def measure_bertune(plan: Plan, number: int, name: str, kind: str) -> None:
    """All stages of one format of the model."""
    folder, texts = model_folder(kind, plan.cache), workload(name, plan.cache)
    key, path = f"{name}/{kind}", plan.cache / f"answers-{name}-{kind}.json"
    if plan.is_missing(number, key, *STAGES):
        before = offline(folder, texts, 1, None if path.is_file() else path, plan.cpus)
        command = (*BERTUNE, "serve", str(folder), "--port", "0")
        with serving(command, texts.texts[0], plan.cache / "serve.log", plan.cpus) as server:
            plan.measure(number, key, "start", lambda: round(server.seconds, 2))
            one = Client(server, texts.texts, json.loads(path.read_bytes()), TOLERANCE[kind])
            measure_server(plan, number, key, one, 0.6 * before)
            seconds = round(plan.seconds)
            plan.measure(number, key, "wrk", lambda: one.wrk(seconds, CONNECTIONS, plan.cache))

            def rate() -> float:
                return offline(folder, texts, plan.seconds, cpus=plan.cpus)

            plan.measure(number, key, "throughput", lambda: _throughputs(plan.seconds, one, rate))


def measure_server(plan: Plan, number: int, key: str, one: Client, start: float) -> None:
    """The stages of any running server; `start` is the first rate to try, in texts per second."""
    found = plan.measure(number, key, "saturation", lambda: one.saturate(plan.seconds, start))
    if found is not None:
        plan.measure(
            number, key, "latency", lambda: _latencies(plan.seconds, one, found["texts_per_second"] / 2)
        )


def _latencies(seconds: float, one: Client, rate: float) -> list[dict[str, Any]]:
    """Latencies of single texts and at a rate, in turn."""
    return [
        {"single": one.send(seconds / 2), "half": one.send(seconds, rate, connections=CONNECTIONS)}
        for _ in range(TURNS)
    ]


def _throughputs(seconds: float, one: Client, offline_rate: Callable[[], float]) -> list[dict[str, Any]]:
    """Offline rates and the throughput of waiting clients, in turn."""
    many = replace(one, per_request=PER_REQUEST)
    return [
        {
            "offline": offline_rate(),
            "1": one.send(seconds, connections=CONNECTIONS),
            str(PER_REQUEST): many.send(seconds, connections=FEWER),
        }
        for _ in range(TURNS)
    ]


def measure_peer(plan: Plan, number: int, name: str, one: bool) -> None:
    """The plain server, whose answers are compared with those of the fp32 graph."""
    texts, path = workload(name, plan.cache), plan.cache / f"answers-{name}-onnx.json"
    if not path.is_file():
        offline(model_folder("onnx", plan.cache), texts, 0, path)
    model = str(model_folder("run", plan.cache) / "model")
    command = (BERTUNE[0], str(HERE / "serving_peer.py"), model, *(["--one"] if one else []))
    key = f"{name}/{PEER}{' one by one' if one else ''}"
    if plan.is_missing(number, key, *_OF_PEER):
        with serving(command, texts.texts[0], plan.cache / "peer.log", plan.cpus) as server:
            plan.measure(number, key, "start", lambda: round(server.seconds, 2))
            client = Client(server, texts.texts, json.loads(path.read_bytes()), TOLERANCE[PEER])
            measure_server(plan, number, key, client, 600 / client.send(1)["latency"]["mean"])


def _short(found: Any) -> str:
    """A measurement as a line of progress."""
    if isinstance(found, list):
        return "; ".join(", ".join(f"{name}: {_short(one)}" for name, one in turn.items()) for turn in found)
    if not isinstance(found, dict):
        return str(found)
    if "steps" not in found:
        p50, p99 = (found["latency"][name] for name in ("p50", "p99"))
        late = found["late_p99"]  # of the generator: p99 of the delay of a request, in milliseconds
        return f"{found['answered_texts']} texts/s, p50 {p50} ms, p99 {p99} ms (generator late by {late})"
    steps = ", ".join(f"{step['answered']:.0f} of {step['offered']:.0f}" for step in found["steps"])
    last = found["steps"][-1]
    return (
        f"{found['texts_per_second']} texts/s; requests per second: {steps}; CPU microseconds: server "
        f"{last['server_cpu_microseconds']} per text, generator {last['cpu_microseconds']} per request"
    )


def main() -> None:
    """Measures, stores and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="default: a file in benchmarks/results/serving")
    parser.add_argument("--server-cpus", nargs="+", type=int, metavar="CPU", help="not used by the clients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of every measurement")
    parser.add_argument("--workloads", nargs="+", default=["sst2", "mixed"], metavar="NAME")
    parser.add_argument("--formats", nargs="*", default=["onnx-int8", "onnx"], choices=FORMATS)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--peer", choices=("none", "threads", "one", "both"), default="threads")
    parser.add_argument("--render", action="store_true", help="only write the page of the stored results")
    parser.add_argument("--fresh", action="store_true", help="forget what is stored")
    options = parser.parse_args()
    cpus = Cpus.separate(options.server_cpus) if options.server_cpus else SHARED
    own = RESULTS / (f"{len(cpus.server)}_cpus.json" if cpus.server else "shared.json")
    out: Path = options.out or own
    if not options.render:
        options.cache.mkdir(parents=True, exist_ok=True)
    is_stored = out.is_file() and not options.fresh
    earlier = json.loads(out.read_bytes()) if is_stored else {}
    if earlier and not options.render and earlier["server_cpus"] != list(cpus.server):
        sys.exit(f"{out} was measured on other CPUs; pass --fresh to replace it")
    rounds = earlier.get("rounds", {})
    plan = Plan(options.cache, out, options.seconds, frozenset(options.stages), rounds, cpus)
    for number in range(1, 1 if options.render else options.rounds + 1):
        for name in options.workloads:
            for one in {"none": (), "threads": (False,), "one": (True,), "both": (False, True)}[options.peer]:
                measure_peer(plan, number, name, one)
            for kind in options.formats:
                measure_bertune(plan, number, name, kind)
    print(table(json.loads(out.read_bytes())))
    if out == own:
        stored = [json.loads(path.read_bytes()) for path in RESULTS.glob("*.json")]
        PAGE.write_text(page(sorted(stored, key=lambda found: len(found["server_cpus"]))), encoding="utf-8")


if __name__ == "__main__":
    main()
