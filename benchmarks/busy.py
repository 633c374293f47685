"""Training speed next to another process: bertune as it is, with fixed choices, and the HF Trainer.

    BERTUNE_DATA=DATA python benchmarks/busy.py --rounds 3

The machine must be otherwise idle. In turn it is idle, shared with one busy single-threaded process, and
shared with one at nice 10. "auto" is what users get; the fixed choices are one thread, a thread on each core,
and the latter with OMP_WAIT_POLICY=passive.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from suite import Benchmark, make_job, trainings

from bertune.bench import sides
from bertune.bench.environment import machine, versions
from bertune.bench.job import Job
from bertune.bench.runner import Contestant, run_one

RATE = "examples_per_second"
OUT = Path(__file__).parent / "results" / "busy.json"
SITUATIONS = {"idle": None, "busy": 0, "nice 10": 10}  # priority of the other process
_SPIN = "import os, sys\nos.nice(int(sys.argv[1]))\nwhile True: pass\n"
_COLA = Benchmark("busy", "", "", "cola", trainings(), {}, recipe={"max_length": 64})


@dataclass(frozen=True)
class Side:
    """One way of training: bertune with some threads, or the Trainer."""

    key: str
    threads: int | None = None  # None: bertune's own choice
    environment: tuple[tuple[str, str], ...] = ()
    is_trainer: bool = False

    def contestant(self, job: Job, folder: Path) -> Contestant:
        """The process to start."""
        path = folder / f"{self.key.replace(' ', '_')}.json"
        settings = {} if self.threads is None else {"machine": {"threads": self.threads}}
        replace(job, settings=settings).write(path)
        return sides.trainer(path, "best") if self.is_trainer else sides.bertune_training(path)


def all_sides(cores: int) -> list[Side]:
    """Bertune's own choice first, then the fixed ones, then the Trainer."""
    return [
        Side("auto"),
        Side("1 thread", 1),
        Side(f"{cores} threads", cores),
        Side(f"{cores} threads, passive", cores, (("OMP_WAIT_POLICY", "passive"),)),
        Side("HF Trainer, best", is_trainer=True),
    ]


@contextlib.contextmanager
def beside(priority: int | None) -> Iterator[None]:
    """One busy single-threaded process of that priority as long as the context lasts; none for None."""
    if priority is None:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", _SPIN, str(priority)])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def measure(rounds: int, seconds: float, cores: int) -> dict[str, dict[str, list[float]]]:
    """Texts per second of every side in every round, by situation."""
    found: dict[str, dict[str, list[float]]] = {
        situation: {side.key: [] for side in all_sides(cores)} for situation in SITUATIONS
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = make_job(_COLA, seconds, "bf16", folder)
        for number in range(1, rounds + 1):
            for situation, priority in SITUATIONS.items():
                for side in all_sides(cores):
                    with beside(priority):
                        outcome = run_one(side.contestant(job, folder), number, dict(side.environment))
                    value = outcome.value(RATE)
                    if value is None:
                        raise SystemExit(f"{side.key}: {outcome.error}")
                    found[situation][side.key].append(value)
                    print(f"round {number}, {situation}: {side.key}: {value:.0f} texts/s", flush=True)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """Medians as Markdown, and what bertune's own choice is of the best fixed one, median of rounds."""
    keys = list(next(iter(found.values())))
    lines = [
        f"| other process | {' | '.join(keys)} | auto / best fixed |",
        "|---" * (len(keys) + 2) + "|",
    ]
    for situation, rates in found.items():
        fixed = [key for key in keys if key != "auto" and not key.startswith("HF")]
        ratio = statistics.median(
            own / max(rates[key][number] for key in fixed) for number, own in enumerate(rates["auto"])
        )
        medians = " | ".join(f"{statistics.median(rates[key]):.0f}" for key in keys)
        lines.append(f"| {situation} | {medians} | {ratio:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table, and stores all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0, help="at least, of every measurement")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    found = measure(options.rounds, options.seconds, cores)
    print(table(found))
    about = {"machine": machine(), "versions": versions(), "seconds": options.seconds}
    OUT.write_text(json.dumps({**about, "texts_per_second": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
