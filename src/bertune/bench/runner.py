"""Runs contestants in interleaved rounds, each in a fresh process that is also timed from outside."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertune.bench.peaks import calibration_seconds

DRIFT = 0.05  # relative change of the calibration time above which a round is flagged
_LONGEST = 1800.0  # seconds after which a contestant is considered hung
_TAIL = 600  # characters kept of a failed contestant's stderr
_FOLDERS = re.compile(r"(?:/[\w.+~-]+)+/(?=[\w.+~-])")


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison. `command` may contain {round}, and {folder} for the path of a new folder."""

    key: str
    title: str
    command: tuple[str, ...]
    most_rounds: int | None = None  # limit for slow contestants
    reports: bool = True  # whether it prints a JSON line; otherwise only the process is measured


@dataclass(frozen=True)
class Outcome:
    """The result of one process of a contestant."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    numbers: dict[str, Any] = field(default_factory=dict)  # its own JSON line
    error: str | None = None

    def value(self, metric: str) -> float | None:
        """A measurement by name, as reported by the contestant or else taken from its process."""
        measured = self.numbers.get(metric, getattr(self, metric, None))
        return None if self.error or measured is None else float(measured)


@dataclass(frozen=True)
class Round:
    """One run of every contestant, with the speed of the machine before and after."""

    number: int  # from 1
    outcomes: dict[str, Outcome]
    calibration_seconds: tuple[float, float]
    steal: float | None  # fraction of processor time taken by the host; None if not reported by the system

    @property
    def is_flagged(self) -> bool:
        """Whether the speed of the machine changed during the round."""
        before, after = self.calibration_seconds
        # 2% of stolen time is about the smallest effect that the ratios could show.
        return abs(after / before - 1) > DRIFT or (self.steal or 0) > 0.02


def order(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """The order of the contestants in a round, rotated by one each round: A B C, then C A B."""
    taking_part = [c for c in contestants if c.most_rounds is None or number <= c.most_rounds]
    turn = -(number - 1) % len(taking_part) if taking_part else 0
    return taking_part[turn:] + taking_part[:turn]


def run_rounds(
    contestants: Sequence[Contestant],
    rounds: int,
    environment: dict[str, str] | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> list[Round]:
    """Runs every contestant once per round, each in a separate process.

    A failure is reported once and recorded with the end of stderr; the contestant is not started again.
    """
    done: list[Round] = []
    failed: set[str] = set()
    for number in range(1, rounds + 1):
        before, ticks = calibration_seconds(), _processor_ticks()
        outcomes: dict[str, Outcome] = {}
        for contestant in order([c for c in contestants if c.key not in failed], number):
            outcome = run_one(contestant, number, environment)
            outcomes[contestant.key] = outcome
            if outcome.error:
                failed.add(contestant.key)
                on_progress(f"{contestant.title} failed: {outcome.error}")
            else:
                on_progress(f"round {number}: {contestant.title}: {_short(outcome)}")
        steal = _steal(ticks, _processor_ticks())
        done.append(Round(number, outcomes, (before, calibration_seconds()), steal))
    return done


def run_one(contestant: Contestant, number: int, environment: dict[str, str] | None = None) -> Outcome:
    """Runs one process of a contestant to its exit."""
    with tempfile.TemporaryDirectory(prefix="bertune-bench-") as folder:
        command = [part.replace("{round}", str(number)) for part in contestant.command]
        command = [part.replace("{folder}", f"{folder}/out") for part in command]
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        with stdout.open("wb") as out, stderr.open("wb") as err:
            code, wall, usage = _run(command, {"stdout": out, "stderr": err}, environment or {})
        cpu = usage.ru_utime + usage.ru_stime
        rss = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        if code != 0:
            errors = stderr.read_text(encoding="utf-8", errors="replace")
            return Outcome(wall, cpu, rss, error=f"exit code {code}: {_tail(errors)}")
        if not contestant.reports:
            return Outcome(wall, cpu, round(rss, 1))
        lines = stdout.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        try:
            numbers = json.loads(lines[-1])
        except (IndexError, json.JSONDecodeError):
            return Outcome(wall, cpu, rss, error=f"no JSON line in the output: {_tail(' '.join(lines))}")
        return Outcome(wall, cpu, float(numbers.pop("peak_rss_mb", rss)), numbers)


def _run(command: list[str], streams: dict[str, Any], environment: dict[str, str]) -> tuple[int, float, Any]:
    """Exit code, wall seconds and resource usage of a process."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONHASHSEED": "0"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env={**os.environ, **offline, **environment}, **streams
    )
    timer = threading.Timer(_LONGEST, process.kill)
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        timer.cancel()
        if process.returncode is None:  # interrupted while waiting
            process.kill()
            process.wait()
    return process.returncode, time.perf_counter() - started, usage


def _tail(output: str) -> str:
    """The end of a process's output, on one line, without the paths of folders."""
    lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
    return _FOLDERS.sub("", " | ".join(lines))[-_TAIL:] or "no output"


def _short(outcome: Outcome) -> str:
    rate = outcome.value("examples_per_second")
    seconds = f"{outcome.wall_seconds:.1f} s total, {outcome.peak_rss_mb:,.0f} MB"
    return seconds if rate is None else f"{rate:,.1f} texts/s, {seconds}"


def _processor_ticks() -> list[int] | None:
    """Total and stolen ticks of all processors since boot; None if the system does not report them."""
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    fields = [int(n) for n in path.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    return [sum(fields[:8]), fields[7]]


def _steal(before: list[int] | None, after: list[int] | None) -> float | None:
    if before is None or after is None or after[0] == before[0]:
        return None
    return round((after[1] - before[1]) / (after[0] - before[0]), 4)
