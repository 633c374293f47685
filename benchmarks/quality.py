"""Compare bertune's scores with the transformers Trainer's on three tasks, over several seeds.

    BERTUNE_DATA=DATA python benchmarks/quality.py --tasks cola mrpc sst2 --seeds 1 2 3 4 5

Every (task, side, seed) runs in a process of its own, one at a time, the sides taking turns. Each
result is kept as a small JSON file, and one that is there is not run again, so the command can be
stopped and repeated. The table covers every result in the folder; `--sides` with nothing after it
only writes the table anew.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t as student_t  # type: ignore[import-untyped]

from bertune.bench.place import machine

HERE = Path(__file__).parent
SIDES = ("hf", "bertune")
TITLES = {"hf": "HF Trainer", "bertune": "bertune"}
COMMAND = (
    "BERTUNE_DATA=DATA python benchmarks/quality.py --tasks cola mrpc sst2 --seeds 1 2 3 4 5 "
    "--sides bertune hf"
)


@dataclass(frozen=True)
class Task:
    """One task: bertune's overrides, the scores the table shows, and a line on the data."""

    overrides: tuple[str, ...]
    scores: tuple[str, ...]
    about: str


TASKS = {
    "cola": Task(
        ("model.name=minilm", "train.epochs=4"),
        ("test.mcc", "validation.mcc", "test.accuracy"),
        "8,551 sentences, 4 epochs; validation: in-domain dev (527); test: out-of-domain dev (516)",
    ),
    "mrpc": Task(
        ("model.name=minilm", "train.epochs=3", "model.max_length=128", "train.best_by=mcc"),
        ("validation.accuracy", "validation.f1", "test.accuracy", "test.f1", "test.mcc"),
        "3,668 sentence pairs, 3 epochs; validation: dev (408); test: the published test set "
        "(1,725); f1 is that of class 1",
    ),
    "sst2": Task(
        ("model.name=minilm", "train.epochs=1", "train.examples=20000"),
        ("validation.accuracy", "validation.f1"),
        "the first 20,000 rows, 1 epoch; validation: dev (872); f1 is that of class 1",
    ),
}

RECIPE = (
    "Recipe on both sides: all-MiniLM-L6-v2 with a fresh classification head, learning rate 5e-5, "
    "batches of 32, warm-up over the first 10 % of the steps, then linear decay, weight decay 0.01 "
    "except on biases and LayerNorm, gradients clipped at 1.0, the dropout of the model's config, "
    "evaluation after each epoch, and the weights of the epoch with the best validation MCC kept. "
    "The Trainer runs with bfloat16 autocast, batches grouped by length, padding to the longest "
    "row of a batch and fused AdamW."
)
READING = (
    "Mean ± standard deviation over seeds. The difference is bertune minus HF, paired by seed, "
    "with the standard deviation of the paired differences and the 95 % t-interval of their mean. "
    "A seed draws different heads and batches on the two sides, so pairing removes no noise. Below "
    "by more than the spread means that the whole interval lies below zero. The runs shared the "
    "machine with other work, so no rate is shown here: `make bench` compares speed, paired."
)

Result = dict[str, Any]


def run_checked(command: Sequence[str | Path]) -> str:
    """The standard output of a command; RuntimeError with the end of its errors if it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def run_hf(task: str, seed: int, folder: Path) -> Result:
    """One run of the Trainer's script; what it wrote, with the command that repeats it."""
    script, out = HERE / "peers" / "hf_trainer.py", folder / "result.json"
    arguments = ["--task", task, "--seed", str(seed), "--out"]
    run_checked([sys.executable, script, *arguments, out])
    result: Result = json.loads(out.read_text(encoding="utf-8"))
    shown = ["python", "benchmarks/peers/hf_trainer.py", *arguments, "FILE"]
    return {**result, "command": shlex.join(shown)}


def bertune_program() -> Path:
    """The bertune command beside this interpreter, or else the one on PATH."""
    beside = Path(sys.executable).with_name("bertune")
    found = str(beside) if beside.is_file() else shutil.which("bertune")
    if found is None:
        raise RuntimeError("the bertune command is not installed")
    return Path(found)


def run_bertune(task: str, seed: int, folder: Path) -> Result:
    """One run of `bertune train`: its scores as plain numbers and its training rate."""
    out = folder / "run"
    arguments = ["train", task, *TASKS[task].overrides, f"train.seed={seed}", "--out"]
    printed = json.loads(run_checked([bertune_program(), *arguments, out, "--json"]))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {
        "scores": {
            split: {name: plain_number(value) for name, value in scores.items()}
            for split, scores in printed["scores"].items()
        },
        "train_examples_per_second": float(manifest["timings"]["train_examples_per_second"]),
        "timings": manifest["timings"],
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("bertune", "torch", "transformers")},
        },
        "command": shlex.join(["bertune", *arguments, "RUN", "--json"]),
    }


def plain_number(value: Any) -> float | None:
    """A score as a number, whether given bare or as an object's `value`."""
    if isinstance(value, dict):
        value = value.get("value")
    return None if value is None else float(value)


def result_path(results: Path, task: str, side: str, seed: int) -> Path:
    """The file that holds one run's result."""
    return results / f"{task}-{side}-{seed}.json"


def run_one(results: Path, task: str, side: str, seed: int) -> bool:
    """Run one (task, side, seed) unless its result is there; False if the run failed."""
    path = result_path(results, task, side, seed)
    if path.exists():
        return True
    print(f"{task} {side} seed {seed} ...", flush=True)
    run = run_hf if side == "hf" else run_bertune
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = run(task, seed, Path(folder))
    except (RuntimeError, OSError, ValueError, TypeError, LookupError) as error:
        print(f"{task} {side} seed {seed} failed: {error!r}", file=sys.stderr, flush=True)
        return False
    seconds = time.perf_counter() - started
    kept = {
        "task": task,
        "side": side,
        "seed": seed,
        **result,
        "process_seconds": seconds,
        "machine": machine(),
        "load_average_after": os.getloadavg()[0],
    }
    results.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    # The rename is what makes a result count: a run cut short leaves none behind.
    partial.replace(path)
    print(f"{task} {side} seed {seed}: {seconds:.0f} s, {json.dumps(kept['scores'])}", flush=True)
    return True


def load_results(results: Path) -> dict[tuple[str, str], dict[int, Result]]:
    """Every result in the folder: by task and side, then by seed."""
    found: dict[tuple[str, str], dict[int, Result]] = {}
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((result["task"], result["side"]), {})[result["seed"]] = result
    return found


def score_by_seed(runs: dict[int, Result], score: str) -> dict[int, float]:
    """One score, such as `test.mcc`, of every run that has it, in order of seeds."""
    split, name = score.split(".")
    values = {seed: run["scores"].get(split, {}).get(name) for seed, run in sorted(runs.items())}
    return {seed: value for seed, value in values.items() if value is not None}


def mean_and_deviation(values: Iterable[float], digits: int = 4) -> str:
    """`mean ± sd (n)` as the table shows it; the deviation of a single value is unknown."""
    numbers = list(values)
    if not numbers:
        return "no results yet"
    mean = f"{statistics.fmean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return f"{mean} (n = 1)"
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f} (n = {len(numbers)})"


@dataclass(frozen=True)
class Difference:
    """Paired differences of one score: their mean, deviation and half the 95 % interval."""

    count: int
    mean: float
    deviation: float
    half_interval: float

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.mean + self.half_interval < 0


def paired_difference(hf: dict[int, float], bertune: dict[int, float]) -> Difference | None:
    """Bertune minus HF over the seeds both have; None below two seeds, where no spread exists."""
    differences = [bertune[seed] - hf[seed] for seed in sorted(hf.keys() & bertune.keys())]
    count = len(differences)
    if count < 2:
        return None
    deviation = statistics.stdev(differences)
    quantile = float(student_t.ppf(0.975, count - 1))
    half = quantile * deviation / math.sqrt(count)
    return Difference(count, statistics.fmean(differences), deviation, half)


def verdict(task: str, differences: dict[str, Difference | None], seeds: dict[str, Sequence[int]]) -> str:
    """One sentence: is bertune below HF by more than the spread on this task?"""
    missing = [TITLES[side] for side in SIDES if not seeds[side]]
    if missing:
        return f"{task}: no verdict, {' and '.join(missing)} without results yet."
    known = {score: value for score, value in differences.items() if value is not None}
    if not known:
        return f"{task}: no verdict, fewer than two seeds on both sides."
    below = [score for score, value in known.items() if value.below]
    count = min(value.count for value in known.values())
    if below:
        return (
            f"{task}: bertune is below HF by more than the spread on {', '.join(below)} "
            f"({count} paired seeds)."
        )
    return f"{task}: bertune is not below HF by more than the spread on any score ({count} paired seeds)."


def task_section(task: str, hf: dict[int, Result], bertune: dict[int, Result]) -> list[str]:
    """The Markdown lines of one task: verdict and scores."""
    rows: list[str] = []
    differences: dict[str, Difference | None] = {}
    for score in TASKS[task].scores:
        ours, theirs = score_by_seed(bertune, score), score_by_seed(hf, score)
        difference = differences[score] = paired_difference(theirs, ours)
        cells = [score, mean_and_deviation(theirs.values()), mean_and_deviation(ours.values())]
        if difference is None:
            cells += ["-", "-"]
        else:
            low = difference.mean - difference.half_interval
            high = difference.mean + difference.half_interval
            cells.append(f"{difference.mean:+.4f} ± {difference.deviation:.4f}")
            cells.append(f"{low:+.4f} to {high:+.4f}")
        rows.append(f"| {' | '.join(cells)} |")
    return [
        f"## {task}",
        "",
        f"{TASKS[task].about}.",
        "",
        "| score | HF Trainer | bertune | difference | 95 % interval |",
        "|---|---|---|---|---|",
        *rows,
        "",
        verdict(task, differences, {"hf": sorted(hf), "bertune": sorted(bertune)}),
        "",
    ]


def environment_lines(results: Iterable[Result]) -> list[str]:
    """The distinct machines and versions of the runs, one line each."""
    lines: dict[str, None] = {}
    loads: list[float] = []
    for run in results:
        place = run["machine"]
        lines[f"- Machine: {place['cpu']}, {place['cores']} cores, {place['system']}"] = None
        versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
        lines[f"- {TITLES[run['side']]}: {versions}"] = None
        loads.append(run["load_average_after"])
    if loads:
        text = f"- Load average at the end of a run: {min(loads):.1f} to {max(loads):.1f}"
        lines[f"{text} (a run alone on this machine comes to about its number of cores)"] = None
    return list(lines)


def table(found: dict[tuple[str, str], dict[int, Result]]) -> str:
    """The whole Markdown page."""
    lines = ["# Quality: bertune and the transformers Trainer", "", RECIPE, "", READING, ""]
    for task in TASKS:
        lines += task_section(task, found.get((task, "hf"), {}), found.get((task, "bertune"), {}))
    lines += ["## Where and how", ""]
    lines += environment_lines(run for runs in found.values() for run in runs.values())
    return "\n".join([*lines, "", "```", COMMAND, "```", ""])


def main() -> int:
    """Run what is missing, write the table; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--results", type=Path, default=HERE / "results" / "quality")
    parser.add_argument("--table", type=Path, default=HERE / "quality.md", help="page to write")
    options = parser.parse_args()
    sound = True
    for task in options.tasks:
        for turn, seed in enumerate(options.seeds):
            # Each side goes first in turn, so neither always meets the warmer machine.
            for side in options.sides[:: -1 if turn % 2 else 1]:
                sound = run_one(options.results, task, side, seed) and sound
    page = table(load_results(options.results))
    options.table.write_text(page, encoding="utf-8")
    print(page)
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
