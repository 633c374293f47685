"""Renders the page of the quality comparison: paired differences, verdicts, tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quality_tasks import KINDS, TASKS, Task
from scipy.stats import t as student_t

SIDES = ("hf", "bertune")
COMMAND = (
    "BERTUNE_DATA=DATA python benchmarks/quality.py --tasks cola mrpc sst2 --seeds 1 2 3 4 5\n"
    "BERTUNE_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/quality.py --tasks tydiqa_en --seeds 1 2 3 4 5\n"
    "BERTUNE_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/quality.py --tasks conll2003 dream stsb"
)
READING = (
    "The tables show mean ± standard deviation over seeds. The difference is bertune minus its peer, paired "
    "by seed, with the standard deviation of the paired differences and the 95% t-interval of their mean. A "
    "seed gives different heads and batches on the two sides, so pairing does not reduce the variance. "
    "bertune is below its peer by more than the spread if the whole interval is below zero. The machine was "
    "under other load, so speed is not reported here; `make bench` compares it. Except for classification, "
    "the runs use small parts of the data and take a minute or two on one thread. They compare trainers; for "
    "scores on larger parts of the data, see [docs/results.md](../docs/results.md)."
)

Result = dict[str, Any]
Found = Mapping[tuple[str, str], Mapping[int, Result]]  # by task and side, then by seed


def title(task: Task, side: str) -> str:
    """The display name of a side."""
    return KINDS[task.kind].peer if side == "hf" else "bertune"


def score_by_seed(runs: Mapping[int, Result], score: str) -> dict[int, float]:
    """One score, such as `test.mcc`, of every run that has it, ordered by seed."""
    split, name = score.split(".")
    values = {seed: run["scores"].get(split, {}).get(name) for seed, run in sorted(runs.items())}
    return {seed: value for seed, value in values.items() if value is not None}


def mean_and_deviation(values: Iterable[float], digits: int = 4) -> str:
    """`mean ± sd (n)`; without the standard deviation for a single value."""
    numbers = list(values)
    if not numbers:
        return "no results yet"
    mean = f"{statistics.fmean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return f"{mean} (n = 1)"
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f} (n = {len(numbers)})"


@dataclass(frozen=True)
class Difference:
    """Paired differences of one score: mean, standard deviation and half-width of the 95% interval."""

    count: int
    mean: float
    deviation: float
    half_interval: float

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.mean + self.half_interval < 0

    def cells(self) -> list[str]:
        """The table cells of the difference and its interval."""
        low, high = self.mean - self.half_interval, self.mean + self.half_interval
        return [f"{self.mean:+.4f} ± {self.deviation:.4f}", f"{low:+.4f} to {high:+.4f}"]


def paired_difference(peer: Mapping[int, float], bertune: Mapping[int, float]) -> Difference | None:
    """bertune minus its peer over the shared seeds; None for fewer than two."""
    differences = [bertune[seed] - peer[seed] for seed in sorted(peer.keys() & bertune.keys())]
    count = len(differences)
    if count < 2:
        return None
    deviation = statistics.stdev(differences)
    quantile = float(student_t.ppf(0.975, count - 1))
    half = quantile * deviation / math.sqrt(count)
    return Difference(count, statistics.fmean(differences), deviation, half)


def verdict(
    name: str, differences: Mapping[str, Difference | None], runs: Mapping[str, Sequence[int]]
) -> str:
    """A sentence on whether bertune is below its peer by more than the spread. `runs` has seeds by side."""
    peer = title(TASKS[name], "hf")
    missing = [title(TASKS[name], side) for side in SIDES if not runs[side]]
    if missing:
        return f"{name}: no verdict, {' and '.join(missing)} without results yet."
    known = {score: value for score, value in differences.items() if value is not None}
    if not known:
        return f"{name}: no verdict, fewer than two seeds on both sides."
    below = [score for score, value in known.items() if value.below]
    count = min(value.count for value in known.values())
    if below:
        return (
            f"{name}: bertune is below {peer} by more than the spread on {', '.join(below)} "
            f"({count} paired seeds)."
        )
    return f"{name}: bertune is not below {peer} by more than the spread on any score ({count} paired seeds)."


def differences_of(name: str, found: Found) -> dict[str, Difference | None]:
    """The difference on each displayed score of a task."""
    peer, bertune = (found.get((name, side), {}) for side in SIDES)
    return {
        score: paired_difference(score_by_seed(peer, score), score_by_seed(bertune, score))
        for score in TASKS[name].scores
    }


def summary(found: Found) -> list[str]:
    """The Markdown lines of the summary table, with the first score of each task."""
    rows = [
        "| task | score | peer | bertune | difference | below by more than the spread |",
        "|---|---|---|---|---|---|",
    ]
    for name, task in TASKS.items():
        differences = differences_of(name, found)
        first = task.scores[0]
        sides = [
            mean_and_deviation(score_by_seed(found.get((name, side), {}), first).values()) for side in SIDES
        ]
        known = [value for value in differences.values() if value is not None]
        shown = differences[first]
        below = "unknown" if not known else "yes" if any(value.below for value in known) else "no"
        cells = [f"[{name}](#{name})", first, *sides, shown.cells()[0] if shown else "-", below]
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, ""]


def task_section(name: str, found: Found) -> list[str]:
    """The Markdown lines of one task: scores and verdict."""
    task = TASKS[name]
    peer, bertune = (found.get((name, side), {}) for side in SIDES)
    differences = differences_of(name, found)
    rows: list[str] = []
    for score, difference in differences.items():
        cells = [
            score,
            *(mean_and_deviation(score_by_seed(runs, score).values()) for runs in (peer, bertune)),
        ]
        cells += ["-", "-"] if difference is None else difference.cells()
        rows.append(f"| {' | '.join(cells)} |")
    return [
        f"### {name}",
        "",
        f"{task.about}.",
        "",
        f"| score | {title(task, 'hf')} | bertune | difference | 95% interval |",
        "|---|---|---|---|---|",
        *rows,
        "",
        verdict(name, differences, {"hf": sorted(peer), "bertune": sorted(bertune)}),
        "",
    ]


def environment_lines(results: Iterable[Result]) -> list[str]:
    """One line per distinct machine and set of versions."""
    lines: dict[str, None] = {}
    loads: list[float] = []
    for run in results:
        place = run["machine"]
        threads = run.get("threads")
        limited = f", {threads} thread{'s' * (threads != 1)} per run" if threads else ""
        lines[f"- Machine: {place['cpu']}, {place['cores']} cores, {place['system']}{limited}"] = None
        versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
        lines[f"- {title(TASKS[run['task']], run['side'])}: {versions}"] = None
        loads.append(run["load_average_after"])
    if loads:
        text = f"- Load average at the end of a run: {min(loads):.1f} to {max(loads):.1f}"
        lines[f"{text} (a single run on an idle machine reaches about the number of cores)"] = None
    return list(lines)


def table(found: Found) -> str:
    """The whole Markdown page."""
    lines = ["# Quality: bertune compared with other trainers", "", READING, "", *summary(found)]
    for key, kind in KINDS.items():
        lines += [f"## {kind.title}", "", f"Both sides: {kind.recipe}", ""]
        for name, task in TASKS.items():
            if task.kind == key:
                lines += task_section(name, found)
    lines += ["## Environment", ""]
    lines += environment_lines(run for runs in found.values() for run in runs.values())
    return "\n".join([*lines, "", "```", COMMAND, "```", ""])
