"""Kills training runs at random moments, resumes them, and compares them with the undisturbed run."""

import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from attack_runs import (
    PHASES,
    Attack,
    Moment,
    Watch,
    Workload,
    differences,
    draw_later_moment,
    draw_moment,
    phases,
)

_MOST_RESUMES = 4


class Kills:
    """Collects the results of many killed training runs."""

    def __init__(self, folder: Path, seed: int, workloads: tuple[str, ...] = ()) -> None:
        self._attack = Attack(folder, workloads)
        self._draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.phases: Counter[str] = Counter()  # phase in which each process was killed
        self.failures: list[str] = []

    def one(self, number: int) -> None:
        """Kills one training run and resumes it to its end; every second one is killed again on resuming."""
        workload = self._attack.workloads[number % len(self._attack.workloads)]
        whole, known = self._attack.whole(workload)
        folder = self._attack.folder / f"trial-{number:04d}"
        (folder / "alone").mkdir(parents=True)
        run = folder / "alone" / "run"
        moments = [draw_moment(self._draw, known)]
        if number % 2:
            moments.append(draw_later_moment(self._draw, known, moments[0].number))
        problems = self._until_done(workload, run, moments)
        problems += differences(run, whole)
        for kind in ("lost", "different", "left over", "wrong end"):
            self.counts[kind] += any(problem.startswith(kind) for problem in problems)
        if problems:
            self.failures.append(
                f"trial {number} ({workload.name}, {moments}): {'; '.join(sorted(problems))}"
            )
        else:
            shutil.rmtree(folder)
        self.counts["trainings"] += 1

    def _until_done(self, workload: Workload, run: Path, moments: list[Moment]) -> Counter[str]:
        folder = run.parent.parent
        problems: Counter[str] = Counter()
        words = workload.train(run)
        for attempt in range(_MOST_RESUMES):
            moment = moments[attempt] if attempt < len(moments) else Moment(0)
            log = folder / f"events-{attempt}"
            watch = Watch(run, log, moment, workload.frozen_on_disk)
            ended = self._attack.start(words, watch, folder / "output")
            if "Traceback" in ended.stderr:
                problems[f"wrong end: traceback: {ended.stderr[-300:]}"] += 1
            if ended.code == 0 and attempt >= len(moments):
                return problems
            if ended.code == -signal.SIGKILL:
                self.counts["kills, first" if attempt == 0 else "kills, during a resume"] += 1
                self.phases[phases(log, run)[-1]] += 1
            elif ended.code == 0:
                self.counts["ended before the kill"] += 1
            else:
                problems[f"wrong end: exit code {ended.code}: {ended.stderr[-300:]}"] += 1
                return problems
            words = ["train", run, "--resume"] if run.exists() else workload.train(run, resume=True)
        problems["wrong end: never completed"] += 1
        return problems


def run(number: int, seed: int, folder: Path) -> list[str]:
    """Kills `number` training runs; prints counts and returns one line per failure."""
    started = time.perf_counter()
    kills = Kills(folder, seed)
    for trial in range(number):
        before = len(kills.failures)
        kills.one(trial)
        for failure in kills.failures[before:]:
            print(f"FAIL {failure}", flush=True)
        if (trial + 1) % 20 == 0:
            print(f"{trial + 1:,} of {number:,}: {_summary(kills.counts)}", flush=True)
    print(f"kills: seed {seed}, {_summary(kills.counts)}, {time.perf_counter() - started:,.0f} s")
    print("kills by phase: " + ", ".join(f"{name} {kills.phases[name]}" for name in PHASES))
    return kills.failures


def _summary(counts: Counter[str]) -> str:
    names = (
        "trainings", "kills, first", "kills, during a resume", "ended before the kill", "lost", "different",
        "left over", "wrong end",
    )  # fmt: skip
    return ", ".join(f"{counts[name]} {name}" for name in names)
