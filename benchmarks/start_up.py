"""Seconds from the shell command to its end, in this source tree and an earlier one.

    git worktree add ../before COMMIT
    BERTUNE_DATA=DATA python benchmarks/start_up.py --before ../before --run RUN --rounds 3

RUN is a finished run that both trees can read. Commands alternate between the trees. With `--train`, one
epoch of CoLA is timed too; its steps are not counted. The earlier tree may have no simple models and no
explanations, so this version is also timed without them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bertune.bench.environment import machine, versions

HERE = Path(__file__).parents[1]
OUT = Path(__file__).parent / "results" / "start_up.json"


# One epoch of CoLA, by the name under which the page shows it, with settings for this version.
TRAININGS = {
    "train cola, 1 epoch, without its steps": (),
    "the same without simple models and explanations": ("train.baselines=false", "train.explain=false"),
}


def commands(run: str) -> dict[str, tuple[str, ...]]:
    """The commands to time, by the name under which the page shows them."""
    return {
        "--help": ("--help",),
        "tasks": ("tasks",),
        "datasets": ("datasets",),
        "check demo": ("check", "demo"),
        "report RUN": ("report", run),
        "predict RUN -, one line": ("predict", run, "-"),
    }


def seconds(tree: Path, arguments: tuple[str, ...]) -> float:
    """The wall time of one command in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, "-m", "bertune", *arguments]
    started = time.perf_counter()
    subprocess.run(command, input=b"a lamp is broken\n", env=environment, capture_output=True, check=True)
    return time.perf_counter() - started


def training(tree: Path, *settings: str) -> float:
    """The wall time of one epoch of CoLA without that of its steps."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ("train", "cola", "model.name=minilm", "train.epochs=1", *settings, "--out", str(out))
        whole = seconds(tree, command)
        steps: float = json.loads((out / "manifest.json").read_bytes())["timings"]["train_seconds"]
    return whole - steps


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """Medians as Markdown."""
    lines = ["| command | before, s | now, s | ratio |", "|---|---|---|---|"]
    for name, sides in found.items():
        before, now = (statistics.median(sides[key]) for key in ("before", "now"))
        lines.append(f"| `{name}` | {before:.2f} | {now:.2f} | {before / now:.1f}x |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table, and stores all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", action="store_true", help="time one epoch of CoLA too")
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "now": HERE}
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for name, arguments in commands(options.run).items():
            for side, tree in trees.items():
                found.setdefault(name, {}).setdefault(side, []).append(round(seconds(tree, arguments), 3))
    for _ in range(options.rounds if options.train else 0):
        before = round(training(trees["before"]), 3)
        for name, settings in TRAININGS.items():
            sides = found.setdefault(name, {"before": [], "now": []})
            sides["before"].append(before)
            sides["now"].append(round(training(HERE, *settings), 3))
    print(table(found))
    OUT.write_text(
        json.dumps({"machine": machine(), "versions": versions(), "seconds": found}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
