"""The training runs used by the attacks: data and settings, killing a process, comparing two runs."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The fork server finds bertune by PYTHONPATH; it does not inherit `sys.path`.
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")]).rstrip(
    os.pathsep
)

from small_texts import BAD, GOOD, PLAIN, TINY_BERT, labelled_texts, write_csv, write_vocabulary  # noqa: E402
from trainings import Command, Ended, as_arguments  # noqa: E402

NEW_FOLDER = ".run.new.bertune-tmp"  # where a run is built before it is renamed
PHASES = (
    "creating", "restoring", "training", "evaluation", "best weights", "checkpoint", "frozen part",
    "predictions", "model", "manifest", "clean-up", "report",
)  # fmt: skip
_COMMON: dict[str, Any] = {
    "model.dropout": 0.1,
    "machine.precision": "fp32",
    "machine.device": "cpu",
    "machine.threads": 1,
    "train.epochs": 4,
    "train.batch_size": 16,
    "train.lr": 2e-3,
    "train.best_metric": "loss",
}
_LONGEST_DELAY = 0.03  # seconds between an event and a kill: longer than any single write here


@dataclass(frozen=True)
class Workload:
    """A deterministic training run."""

    name: str
    data: Path
    settings: dict[str, Any]
    frozen_on_disk: bool = False

    def train(self, run: Path, resume: bool = False) -> list[object]:
        """The arguments of the original command."""
        more = ["--resume"] if resume else []
        return ["train", self.data, *as_arguments(self.settings), "--out", run, *more]


@dataclass(frozen=True)
class Moment:
    """When to kill a process: at its n-th event, or `delay` seconds after it."""

    number: int  # 0: never
    delay: float = 0.0


@dataclass(frozen=True)
class Watch:
    """Call to install: logs each event of a run as `kind<TAB>path`, and kills the process at a moment.

    An event is a system call that changes the run folder: opening for writing, fsync, rename, unlink, mkdir,
    rmdir. The start of each prediction pass is logged too, so that kills can occur there.
    """

    run: Path
    log: Path
    moment: Moment = Moment(0)
    frozen_on_disk: bool = False

    def __call__(self) -> None:
        import bertune.reporting.canvas
        import bertune.reporting.write
        import bertune.training.frozen
        from bertune.predict import torch_backend

        backend: Any = torch_backend
        # Drawing would take longer than training. The report has the same files, with placeholder figures.
        canvas: Any = bertune.reporting.canvas
        canvas.svg = lambda *_: "<svg></svg>"
        write: Any = bertune.reporting.write
        write.png = lambda _: b"not drawn"
        if self.frozen_on_disk:
            bertune.training.frozen._SHARE_OF_MEMORY = 0.0
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        inside = str(self.run), str(self.run.with_name(NEW_FOLDER))
        seen = 0

        def note(kind: str, path: str) -> None:
            nonlocal seen
            if not path.startswith(inside):
                return
            seen += 1
            os.write(log, f"{kind}\t{path}\n".encode())
            if seen == self.moment.number:
                _die_after(self.moment.delay)

        fsync, micro_batches = os.fsync, backend.micro_batches

        def noted_fsync(descriptor: int) -> None:
            note("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
            fsync(descriptor)

        def noted_batches(*arguments: Any) -> Any:
            note("evaluate", str(self.run))
            return micro_batches(*arguments)

        system: Any = os
        system.fsync, backend.micro_batches = noted_fsync, noted_batches
        sys.addaudithook(partial(_hook, note))


def _hook(note: Callable[[str, str], None], event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes | os.PathLike) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            note("open", os.fsdecode(path))
    elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        path, folder = os.fsdecode(arguments[0]), arguments[-1] if event != "os.rename" else -1
        if folder not in (-1, None) and not path.startswith("/"):  # shutil.rmtree names files by descriptor
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        note(event.removeprefix("os."), path)


def _die_after(seconds: float) -> None:
    if not seconds:
        os.kill(os.getpid(), signal.SIGKILL)
    parent = os.getpid()
    if os.fork() == 0:  # another process, so that the kill can interrupt any system call of this one
        os.closerange(0, 1024)  # in particular the lock of the run
        time.sleep(seconds)
        if os.getppid() == parent:
            os.kill(parent, signal.SIGKILL)
        os._exit(0)


def phases(log: Path, run: Path) -> list[str]:
    """The phase of each event in a log."""
    found: list[str] = []
    past_model = False
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, _, text = line.partition("\t")
        inside = text.removeprefix(str(run)).lstrip("/") if text.startswith(f"{run}/") else ""
        first = inside.partition("/")[0]
        past_model |= first in ("model", "report")
        if text.startswith(str(run.with_name(NEW_FOLDER))):
            phase = "creating"
        elif kind == "evaluate":
            phase = "evaluation"
        elif first.startswith((".model", "model")):
            phase = "model"
        elif first in ("predictions", "report"):
            phase = first
        elif first == "frozen":
            phase = "clean-up" if past_model else "frozen part"
        elif "manifest.json" in first:
            phase = "manifest"
        elif first == "checkpoints":
            is_best = Path(inside).name.lstrip(".").startswith("best-")
            phase = "best weights" if is_best else "checkpoint"
            phase = "clean-up" if kind in ("remove", "rmdir") and past_model else phase
        elif first == ".bertune-lock" and kind == "remove":
            phase = "clean-up"
        else:
            phase = "training" if "metrics.jsonl" in first else "restoring" if not found else found[-1]
        past_model |= "manifest.json" in first and "predictions" in found
        found.append(phase)
    return found


def draw_moment(draw: random.Random, known: list[str]) -> Moment:
    """A random moment in a run whose events have the phases `known`; all phases are equally likely."""
    phase = draw.choice([name for name in PHASES if name in known])
    number = draw.choice([n for n, name in enumerate(known, start=1) if name == phase])
    return Moment(number, draw.choice([0.0, draw.uniform(0, _LONGEST_DELAY)]))


def draw_later_moment(draw: random.Random, known: list[str], num_done: int) -> Moment:
    """A random moment in a run that is resumed after `num_done` of its events."""
    number = draw.randint(1, max(12, len(known) - num_done))
    return Moment(number, draw.choice([0.0, draw.uniform(0, _LONGEST_DELAY)]))


class Attack:
    """The folder of an attack: its data, the undisturbed runs, and commands in separate processes.

    `only` names the workloads to use, by default all.
    """

    def __init__(self, folder: Path, only: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.workloads = [one for one in _workloads(folder) if not only or one.name in only]
        if not only or "retrained" in only:
            self.workloads.append(_retrained(folder, self.workloads[0]))
        self._whole: dict[str, tuple[Path, list[str]]] = {}

    def start(self, words: list[object], watch: Watch, output: Path) -> Ended:
        """Runs a `bertune` command to its end."""
        return Command(output, *words, before=watch).end()

    def whole(self, workload: Workload) -> tuple[Path, list[str]]:
        """The undisturbed run, and the phases of its events."""
        if workload.name not in self._whole:
            folder = self.folder / "whole" / workload.name.replace(" ", "-")
            folder.mkdir(parents=True)
            watch = Watch(folder / "run", folder / "events", frozen_on_disk=workload.frozen_on_disk)
            ended = self.start(workload.train(folder / "run"), watch, folder / "output")
            if ended.code:
                raise RuntimeError(f"training {workload.name} failed: {ended.stderr}")
            (folder / "alone").mkdir()
            (folder / "run").rename(folder / "alone" / "run")
            self._whole[workload.name] = folder / "alone" / "run", phases(folder / "events", folder / "run")
        return self._whole[workload.name]


def _workloads(folder: Path) -> list[Workload]:
    folder.mkdir(parents=True, exist_ok=True)
    encoder = folder / "encoder"
    _make_encoder(encoder)
    train = write_csv(folder / "reviews.csv", ("text", "label"), labelled_texts(61))
    test = write_csv(folder / "reviews-test.csv", ("text", "label"), labelled_texts(23, seed=6))
    reviews = {**_COMMON, "model.name": encoder, "data.test": test, "train.evaluate_every": 3}
    coincide = reviews | {"train.checkpoint_every": 3}
    apart = reviews | {"train.checkpoint_every": 2}
    early = coincide | {"train.checkpoint_every": 1, "train.lr": 0.05, "train.patience": 2, "train.epochs": 6}
    return [
        Workload("best at checkpoints", train, coincide),
        Workload("best between checkpoints", train, apart),
        Workload("early stopping", train, early | {"train.evaluate_every": 1}),
        Workload("frozen part on disk", train, apart | {"train.freeze": 1}, frozen_on_disk=True),
        _with_files(folder, "token_classification", apart, _tagged),
        _with_files(folder, "ranking", coincide, _ranked),
    ]


def _make_encoder(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    folder.mkdir()
    write_vocabulary(folder)
    torch.manual_seed(13)
    BertForSequenceClassification(BertConfig(**TINY_BERT, initializer_range=0.15)).save_pretrained(folder)
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)


def _with_files(
    folder: Path,
    task: str,
    settings: dict[str, Any],
    make: Callable[[random.Random, int], list[dict[str, Any]]],
) -> Workload:
    paths = []
    for name, count, seed in (("train", 40, 1), ("test", 12, 2)):
        lines = [json.dumps(row) + "\n" for row in make(random.Random(seed), count)]
        paths.append(folder / f"{task}-{name}.jsonl")
        paths[-1].write_text("".join(lines), encoding="utf-8")
    return Workload(task, paths[0], settings | {"task.name": task, "data.test": paths[1]})


def _tagged(draw: random.Random, count: int) -> list[dict[str, Any]]:
    rows = []
    for _ in range(count):
        words = draw.choices([*GOOD, *PLAIN[:40]], k=draw.randint(4, 12))
        rows.append({"tokens": words, "tags": ["B-GOOD" if word in GOOD else "O" for word in words]})
    rows[0] = {"tokens": [GOOD[0], PLAIN[0]], "tags": ["B-GOOD", "O"]}
    return rows


def _ranked(draw: random.Random, count: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(count // 4):
        query = f"{PLAIN[20 + number]} {' '.join(draw.choices(PLAIN, k=3))}"
        for place in range(4):
            word = draw.choice(BAD if place else GOOD)
            document = " ".join([word, *draw.choices(PLAIN, k=draw.randint(2, 8))])
            rows.append({"query": query, "document": document, "grade": int(place == 0)})
    return rows


def _retrained(folder: Path, first: Workload) -> Workload:
    """A workload that starts from a model trained by bertune."""
    earlier = folder / "earlier"
    shorter = replace(first, settings=first.settings | {"train.epochs": 1})
    ended = Command(folder / "output", *shorter.train(earlier)).end()
    if ended.code:
        raise RuntimeError(ended.stderr)
    return replace(first, name="retrained", settings=first.settings | {"model.name": earlier / "model"})


_TIMED = ("created", "timings", "peak_memory_mb", "checksum", "name", "source")


def manifest_without_times(path: Path) -> dict[str, Any]:
    """A manifest without times, memory, and the source as given on the command line."""
    manifest = {k: v for k, v in json.loads(path.read_text(encoding="utf-8")).items() if k not in _TIMED}
    for simple in (manifest.get("baselines") or {}).get("models", []):
        simple.pop("seconds", None)
    manifest["files"] = {k: v for k, v in (manifest.get("files") or {}).items() if k != "metrics.jsonl"}
    return manifest


def metrics_without_times(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without durations."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.pop("seconds", None)
        line.get("validation", {}).pop("seconds", None)
    return lines


def entries(folder: Path) -> dict[str, Path]:
    """Every file and folder below a folder, including hidden ones."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}


def differences(run: Path, whole: Path) -> Counter[str]:
    """Differences of a finished run and its siblings from the undisturbed run, such as `left over: NAME`."""
    found, expected = entries(run.parent), entries(whole.parent)
    problems = Counter(f"lost: {name}" for name in expected.keys() - found.keys())
    problems.update(f"left over: {name}" for name in found.keys() - expected.keys())
    for name in found.keys() & expected.keys():
        if expected[name].is_file() and not _are_equal(name, found[name], expected[name]):
            problems[f"different: {name}"] += 1
    return problems


def _are_equal(name: str, found: Path, expected: Path) -> bool:
    if name.startswith("run/report/") or name == "run/model/README.md":
        return found.stat().st_size > 0  # they contain times, and the source as given on the command line
    compared = {"run/manifest.json": manifest_without_times, "run/metrics.jsonl": metrics_without_times}
    read: Callable[[Path], Any] = compared.get(name, Path.read_bytes)
    try:
        return bool(read(found) == read(expected))
    except (ValueError, OSError):
        return False
