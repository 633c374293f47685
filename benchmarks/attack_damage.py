"""Damages one file of unfinished and finished runs, and checks how bertune handles it.

identical   the result is bit-identical to that of the undisturbed run
refused     exit code 1 or 3, and one error that names the file and a remedy that works
FAIL        anything else: different content, another message, a traceback, work lost without a message
"""

import random
import re
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from attack_files import WAYS, damage, kinds, older_version
from attack_runs import (
    Attack,
    Moment,
    Watch,
    Workload,
    differences,
    draw_later_moment,
    draw_moment,
    entries,
)

from trainings import Ended

_WAYS_FORWARD = ("--out", "--resume", "Put back", "Restore", "train again", "Move the folder away")
_NEVER = Moment(0)
_COMMANDS = ("predict", "evaluate", "report", "train")


@dataclass(frozen=True)
class Hit:
    """A damaged file: its path, kind, kind of damage, and original content."""

    path: Path
    kind: str
    way: str
    before: bytes

    def __str__(self) -> str:
        return f"{self.kind} {self.way} ({self.path.name})"


class Damage:
    """Collects the verdicts on many damaged files."""

    def __init__(self, folder: Path, seed: int, workloads: tuple[str, ...] = ()) -> None:
        self._attack = Attack(folder, workloads)
        self._draw = random.Random(seed)
        self._known: dict[str, dict[str, str]] = {}  # stdout of each command on the undisturbed run
        self.used: Counter[str] = Counter()  # by kind, and by kind and damage
        self.verdicts: Counter[str] = Counter()
        self.failures: list[str] = []

    def unfinished(self, number: int) -> None:
        """Kills a training run, damages one of its files and resumes it; every fourth case does so twice."""
        workload = self._attack.workloads[number % len(self._attack.workloads)]
        whole, known = self._attack.whole(workload)
        folder = self._attack.folder / f"unfinished-{number:04d}"
        run, moment = self._killed(workload, folder, known)
        hits = [self._hit(run)]
        newest = _checkpoints(run)
        had_lines = _has_lines_of_newest(run, newest)
        again = draw_later_moment(self._draw, known, moment.number) if number % 4 == 3 else _NEVER
        first = ended = self._resume(workload, run, again)
        if first.code == -signal.SIGKILL:
            if _is_unfinished(run):
                hits.append(self._hit(run))
            ended = self._resume(workload, run)
        verdict, problems = self._verdict(ended, hits)
        if ended.code == 0:
            problems += differences(run, whole).keys()
            # A resumed run that was killed before its first step may not have printed anything yet.
            if first.code == 0 or " steps into " in first.stderr:
                problems += _loss(first, hits[0], newest, had_lines)
        elif not problems:
            problems += self._ways_forward(ended, workload, run, hits, whole)
        self._note(f"unfinished {number} ({workload.name}, {moment})", hits, verdict, problems, folder)

    def finished(self, number: int) -> None:
        """Damages a file of a finished run and runs each command on it."""
        workload = self._attack.workloads[number % len(self._attack.workloads)]
        whole, _ = self._attack.whole(workload)
        expected = self._outputs(workload, whole)
        folder = self._attack.folder / f"finished-{number:04d}"
        run = folder / "alone" / "run"
        shutil.copytree(whole, run)
        hit = self._hit(run, self._earlier(workload))
        verdicts, problems = [], list[str]()
        for name in _COMMANDS:
            ended = self._command(name, workload, run)
            verdict, found = self._verdict(ended, [hit])
            if ended.code == 0 and name == "train":
                found += differences(run, whole).keys()
            elif ended.code == 0 and _plain(ended.stdout, run) != expected[name]:
                found.append(f"stdout of {name} differs: {ended.stdout[:200]!r}")
            elif ended.code == 0 and name == "report":
                found += _changed_reports(run, whole)
            elif ended.code and name == "train" and not found:
                found += self._ways_forward(ended, workload, run, [hit], whole)
            verdicts.append(verdict)
            problems += [f"{name}: {problem}" for problem in found]
        verdict = "refused" if "refused" in verdicts else "identical"
        self._note(f"finished {number} ({workload.name})", [hit], verdict, problems, folder)

    def _killed(self, workload: Workload, folder: Path, known: list[str]) -> tuple[Path, Moment]:
        """A run that was killed after its folder was created and before it was complete."""
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "alone").mkdir(parents=True)
            run = folder / "alone" / "run"
            moment = draw_moment(self._draw, [p for p in known if p not in ("report", "clean-up")])
            ended = self._start(workload, workload.train(run), run, moment)
            if ended.code == -signal.SIGKILL and _is_unfinished(run):
                return run, moment

    def _start(self, workload: Workload, words: list[object], run: Path, moment: Moment = _NEVER) -> Ended:
        folder = run.parent.parent
        watch = Watch(run, folder / "events", moment, workload.frozen_on_disk)
        return self._attack.start(words, watch, folder / "output")

    def _resume(self, workload: Workload, run: Path, moment: Moment = _NEVER) -> Ended:
        return self._start(workload, ["train", run, "--resume"], run, moment)

    def _command(self, name: str, workload: Workload, run: Path) -> Ended:
        words: dict[str, list[object]] = {
            "predict": ["predict", run, workload.settings["data.test"]],
            "evaluate": ["evaluate", run, workload.settings["data.test"], "--json"],
            "report": ["report", run],
            "train": ["train", run, "--resume"],
        }
        return self._start(workload, words[name], run)

    def _hit(self, run: Path, earlier: Path | None = None) -> Hit:
        """Damages a file, choosing the kind of file and of damage that were used least so far."""
        while True:
            found = kinds(run)
            state = "unfinished" if earlier is None else "finished"
            kind = min(found, key=lambda kind: (self.used[f"{state} {kind}"], self._draw.random()))
            way = min(WAYS, key=lambda way: (self.used[f"{state} {kind} {way}"], self._draw.random()))
            path = found[kind][-1] if self._draw.random() < 0.7 else self._draw.choice(found[kind])
            self.used[f"{state} {kind} {way}"] += 1
            hit = Hit(path, kind, way, path.read_bytes())
            old = None if earlier is None else earlier / path.relative_to(run)
            older = older_version(run, path) if old is None else old.read_bytes() if old.is_file() else None
            if damage(self._draw, path, way, older):
                self.used[f"{state} {kind}"] += 1
                return hit

    def _earlier(self, workload: Workload) -> Path:
        """A run with the same files but other content: another seed, and the manifest of a stopped run."""
        folder = self._attack.folder / "earlier" / workload.name.replace(" ", "-")
        run = folder / "alone" / "run"
        if not run.exists():
            _, known = self._attack.whole(workload)
            killed, _ = self._killed(workload, folder / "stopped", [p for p in known if p == "training"])
            (folder / "alone").mkdir()
            settings = workload.settings | {"train.seed": 7}
            self._start(workload, replace(workload, settings=settings).train(run), run)
            shutil.copyfile(killed / "manifest.json", run / "manifest.json")
        return run

    def _outputs(self, workload: Workload, whole: Path) -> dict[str, str]:
        """The stdout of each command on the undisturbed run."""
        if workload.name not in self._known:
            run = self._attack.folder / "known" / workload.name.replace(" ", "-") / "alone" / "run"
            shutil.copytree(whole, run)
            ended = {name: self._command(name, workload, run) for name in _COMMANDS}
            self._known[workload.name] = {name: _plain(one.stdout, run) for name, one in ended.items()}
        return self._known[workload.name]

    def _verdict(self, ended: Ended, hits: list[Hit]) -> tuple[str, list[str]]:
        """The verdict on a finished command, and the problems with its messages."""
        if "Traceback" in ended.stderr:
            return "FAIL", [f"traceback: {ended.stderr[-400:]}"]
        if ended.code == 0:
            return "identical", []
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
        if ended.code not in (1, 3) or len(errors) != 1:
            return "FAIL", [f"exit code {ended.code} with {len(errors)} errors: {ended.stderr[-400:]}"]
        problems = []
        if not any(_is_named(hit.path, errors[0]) for hit in hits):
            problems.append(f"the damaged file is not named: {errors[0]}")
        if not any(way in errors[0] for way in _WAYS_FORWARD):
            problems.append(f"no remedy: {errors[0]}")
        return "refused", problems

    def _ways_forward(
        self, ended: Ended, workload: Workload, run: Path, hits: list[Hit], whole: Path
    ) -> list[str]:
        """Tries the remedies of an error message: its commands, and restoring the file. Returns problems."""
        problems: list[str] = []
        for command in re.findall(r"`bertune (train [^`]+)`", ended.stderr):
            new = run.parent.parent / f"new-{len(problems)}" / "alone" / "run"
            new.parent.mkdir(parents=True, exist_ok=True)
            words = [word if word != "NEW" else str(new) for word in _split(command, run)]
            again = self._start(workload, list(words), new)
            result = new if "NEW" in command else run
            if again.code or differences(result, whole):
                problems.append(f"the suggested command fails: {command}: {again.stderr[-300:]}")
        for hit in hits:
            hit.path.parent.mkdir(exist_ok=True, parents=True)
            hit.path.write_bytes(hit.before)
        again = self._resume(workload, run)
        if again.code or differences(run, whole):
            problems.append(f"resuming fails after restoring the files: {again.stderr[-300:]}")
        return problems

    def _note(self, what: str, hits: list[Hit], verdict: str, problems: list[str], folder: Path) -> None:
        verdict = "FAIL" if problems else verdict
        self.verdicts[verdict] += 1
        self.verdicts[f"{what.partition(' ')[0]}: {verdict}"] += 1
        if problems:
            self.failures.append(f"{what}: {', then '.join(map(str, hits))}: {'; '.join(problems)}")
        else:
            shutil.rmtree(folder)


def _is_unfinished(run: Path) -> bool:
    path = run / "manifest.json"
    return run.exists() and not (path.exists() and b'"status": "complete"' in path.read_bytes())


def _checkpoints(run: Path) -> list[int]:
    """The steps of a run's checkpoints, intact or damaged, newest first."""
    return sorted((int(path.name[5:]) for path in run.glob("checkpoints/step-*")), reverse=True)


def _has_lines_of_newest(run: Path, steps: list[int]) -> bool:
    """Whether metrics.jsonl still starts with the lines stored in the newest checkpoint."""
    kept = run / f"checkpoints/step-{steps[0] if steps else 0:08d}" / "metrics.jsonl"
    metrics = run / "metrics.jsonl"
    found = metrics.read_bytes() if metrics.exists() else b""
    return not kept.exists() or found.startswith(kept.read_bytes())


def _loss(ended: Ended, hit: Hit, steps: list[int], had_lines: bool) -> list[str]:
    """Problems with the step from which a run was resumed, and with the messages about it."""
    found = re.search(r"resuming after step ([\d,]+) of", ended.stderr)
    begun = int(found.group(1).replace(",", "")) if found else 0
    problems = []
    if steps and begun < (steps[1] if len(steps) > 1 else 0):
        problems.append(f"more than one checkpoint interval was lost: {steps}, continued from {begun}")
    if steps and begun < steps[0]:
        where = f"continues from the checkpoint of step {begun:,}" if begun else "restarts from the first"
        if where not in ended.stderr or hit.path.name not in ended.stderr:
            problems.append(f"continued from {begun} of {steps} without a message: {ended.stderr[:600]}")
    is_record = hit.kind in ("manifest.json", "config.toml")
    if (is_record or not had_lines) and hit.path.name not in ended.stderr:
        problems.append(f"{hit.path.name} was restored without a message")
    return problems


def _is_named(path: Path, error: str) -> bool:
    return path.name in error and path.parent.name in error


def _split(command: str, run: Path) -> list[str]:
    """The arguments of a command in a message, where paths with spaces are not quoted."""
    return [word.replace("\0", str(run)) for word in command.replace(str(run), "\0").split()]


def _plain(stdout: str, run: Path) -> str:
    return stdout.replace(str(run), "RUN")


def _changed_reports(run: Path, whole: Path) -> list[str]:
    found, expected = entries(run / "report"), entries(whole / "report")
    changed = found.keys() ^ expected.keys()
    written_as = whole.parent.parent / "run"  # the path of the run in its page
    for name in found.keys() & expected.keys():
        content = expected[name].read_bytes().replace(bytes(written_as), bytes(run))
        changed |= {name} if content != found[name].read_bytes() else set()
    return [f"report/{name} differs" for name in sorted(changed)]


def run(number: int, seed: int, folder: Path) -> list[str]:
    """Damages `number` runs, three fifths of them unfinished; returns one line per failure."""
    started = time.perf_counter()
    attack = Damage(folder, seed)
    for case in range(number):
        before = len(attack.failures)
        attack.finished(case) if case % 5 in (1, 3) else attack.unfinished(case)
        for failure in attack.failures[before:]:
            print(f"FAIL {failure}", flush=True)
        if (case + 1) % 20 == 0:
            print(f"{case + 1:,} of {number:,}: {_summary(attack.verdicts)}", flush=True)
    print(f"damage: seed {seed}, {_summary(attack.verdicts)}, {time.perf_counter() - started:,.0f} s")
    for state in ("unfinished", "finished"):
        kinds_ = sorted(k for k in attack.used if k.startswith(state) and not k.endswith(WAYS))
        print(", ".join(f"{kind} {attack.used[kind]}" for kind in kinds_))
    return attack.failures


def _summary(verdicts: Counter[str]) -> str:
    return ", ".join(f"{verdicts[name]} {name}" for name in sorted(verdicts))
