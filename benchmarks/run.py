"""Benchmarks the speed and memory of bertune and its peers, and writes docs/benchmarks.md.

    BERTUNE_DATA=DATA python benchmarks/run.py                    all, about 40 minutes on two cores
    BERTUNE_DATA=DATA python benchmarks/run.py --only cola mrpc   selected benchmarks
    python benchmarks/run.py --render                             the page only, from stored results

Each result is stored in benchmarks/results/speed as a JSON file with the raw measurements of every round.
docs/benchmarks.md is rendered from these files only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import busy
import start_up
from page import render
from suite import BENCHMARKS, BY_NAME, FLOOR, Benchmark, make_job

from bertune.bench import sides
from bertune.bench.environment import machine, versions
from bertune.bench.figures import agreement, contestant_figures, flagged, floor_figures, ratio_figures
from bertune.bench.floor import shape_of
from bertune.bench.job import Job
from bertune.bench.runner import Contestant, Round, run_rounds
from bertune.config import MachineConfig
from bertune.errors import BertuneError
from bertune.nn.device import make_machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed"
PROFILE = HERE / "results" / "profile.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
START_UP_TEXT = """\
The table compares this version with the version before start-up was optimized: seconds from process start
to exit on two cores, as medians of paired rounds
(`python benchmarks/start_up.py --before ../before --run RUN --train`). The last two rows are one epoch of
CoLA without the time of its steps: imports, data, model, evaluation, saving and report. In both rows, this
version also computes the audit, calibration, intervals and slices, which the earlier version did not have.
Only the first of the two rows also includes simple models and error explanations, which are new as well.
"""
BUSY_TEXT = """\
The table shows the throughput of training CoLA with MiniLM-L6 on two cores, in texts per second
(`python benchmarks/busy.py`): on an idle machine, next to one busy single-threaded process, and next to such
a process at nice 10. "auto" is bertune with its default settings, which choose the number of threads by the
available CPU time. The next three columns are fixed choices.
"""


def log(text: str) -> None:
    """Prints a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def measure(benchmark: Benchmark, rounds: int, seconds: float) -> dict[str, Any]:
    """Runs one benchmark and returns its result. Raises BertuneError if its data is missing."""
    here = make_machine(MachineConfig(device="cpu"))
    environment = {"OMP_NUM_THREADS": str(here.threads)}
    wanted = min(rounds, benchmark.rounds or rounds)
    with tempfile.TemporaryDirectory(prefix="bertune-bench-") as folder:
        job = make_job(benchmark, seconds, here.precision, Path(folder))
        contestants = benchmark.sides(job, Path(folder), environment)
        done = run_rounds(contestants, wanted, environment, log)
        return result(benchmark, job, contestants, done)


def result(
    benchmark: Benchmark, job: Job, contestants: list[Contestant], rounds: list[Round]
) -> dict[str, Any]:
    """The result of a benchmark as it is stored."""
    from transformers import AutoConfig

    shown = [c for c in contestants if c.key != sides.PEAKS]
    shape = shape_of(AutoConfig.from_pretrained(job.model), len(job.labels))
    reference = "pipeline_1"
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "about": benchmark.about,
        "metric": benchmark.metric,
        "targets": benchmark.targets,
        "floor_target": benchmark.floor_target,
        "command": f"BERTUNE_DATA=DATA make bench ONLY={benchmark.name}",
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {**machine(), "load_average": round(os.getloadavg()[0], 2)},
        "versions": versions(),
        "job": job.facts(),
        "contestants": {c.key: contestant_figures(rounds, c, benchmark.metric) for c in shown},
        "ratios": ratio_figures(rounds, shown, sides.OURS, benchmark.metric),
        "floor": floor_figures(rounds, job, shape, sides.OURS, sides.PEAKS),
        "agreement": agreement(rounds, shown, reference),
        "flagged_rounds": flagged(rounds),
        "rounds": [raw(r) for r in rounds],
    }


def raw(round_: Round) -> dict[str, Any]:
    """The measurements of a round, without the sample of probabilities."""
    values = asdict(round_)
    for outcome in values["outcomes"].values():
        outcome["numbers"].pop("probabilities", None)
    return values


def store(found: dict[str, Any]) -> None:
    """Stores a result atomically."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    partial = RESULTS / f"{found['name']}.partial"
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(RESULTS / f"{found['name']}.json")


def stored() -> list[dict[str, Any]]:
    """The results there are, in the order of the suite."""
    paths = [RESULTS / f"{benchmark.name}.json" for benchmark in BENCHMARKS]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def page() -> str:
    """The page, rendered from the stored results."""
    profile = json.loads(PROFILE.read_text(encoding="utf-8")) if PROFILE.is_file() else None
    return render(stored(), [b.name for b in BENCHMARKS], profile, _further())


def _further() -> list[str]:
    """The sections on start-up and on shared machines, where they have been measured."""
    found = []
    if start_up.OUT.is_file():
        stored_seconds = json.loads(start_up.OUT.read_text(encoding="utf-8"))["seconds"]
        found.append(f"## Start-up\n\n{START_UP_TEXT}\n{start_up.table(stored_seconds)}\n")
    if busy.OUT.is_file():
        rates = json.loads(busy.OUT.read_text(encoding="utf-8"))["texts_per_second"]
        found.append(f"## Next to another process\n\n{BUSY_TEXT}\n{busy.table(rates)}\n")
    return found


def selected(names: list[str]) -> list[Benchmark]:
    """The selected benchmarks; `floor` selects those with a floor target."""
    wanted = {n for name in names for n in (FLOOR if name == "floor" else (name,))}
    return [b for b in BENCHMARKS if b.name in wanted or not names]


def main() -> int:
    """Runs and stores benchmarks and writes the page; returns 1 if a contestant failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], choices=[*BY_NAME, "floor"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="minimum duration of one measurement")
    parser.add_argument("--render", action="store_true", help="only write the page")
    options = parser.parse_args()
    failed = False
    for benchmark in [] if options.render else selected(options.only):
        started = time.perf_counter()
        log(f"== {benchmark.name}: {benchmark.about}")
        try:
            found = measure(benchmark, options.rounds, options.seconds)
        except BertuneError as error:
            log(f"{benchmark.name} skipped: {error}")
            continue
        store(found)
        failed = failed or any("error" in side for side in found["contestants"].values())
        log(f"{benchmark.name}: {time.perf_counter() - started:.0f} s")
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
