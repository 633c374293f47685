"""Starts trainings for the tests, in this process or a separate one, and compares two runs."""

import io
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.run import Run

Settings = Mapping[str, Any]
# Imported once by the fork server, so that the processes start quickly.
_PRELOADED = (
    "bertune.api",
    "bertune.cli.app",
    "bertune.console.progress",
    "bertune.reporting.write",
    "bertune.training.fit",
    "tomlkit",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "safetensors.torch",
)


def train(
    source: object,
    out: Path,
    overrides: Settings,
    resume: bool = False,
    labels: Sequence[object] | None = None,
) -> tuple[Run, list[Any]]:
    """Trains to the end, without the report, and returns the run with all events.

    Drawing the report takes longer than training a model this small.
    """
    from bertune.source import resolve_source
    from bertune.training.events import Finished
    from bertune.training.fit import train_source

    events = list(train_source(resolve_source(source, overrides, labels), out, resume))
    assert isinstance(events[-1], Finished)
    return events[-1].run, events


def stopped_after(
    source: Path, out: Path, overrides: Settings, steps: int, number: int = signal.SIGTERM
) -> None:
    """Trains until a signal after `steps` steps, counted from the first step of the run."""
    from bertune.errors import Interrupted
    from bertune.source import resolve_source
    from bertune.training.events import Stepped
    from bertune.training.fit import train_source

    try:
        for event in train_source(resolve_source(str(source), overrides), out, resume=out.exists()):
            if isinstance(event, Stepped) and event.step.number == steps:
                signal.raise_signal(number)
    except Interrupted:
        return
    raise AssertionError(f"the training was not stopped after step {steps}")


def without_times(run: Run) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without times."""
    lines = run.metrics()
    for line in lines:
        line.pop("seconds")
        line.get("validation", {}).pop("seconds", None)
    return lines


def assert_same_work(found: Run, expected: Run) -> None:
    """Asserts that weights, metrics, scores and predictions are equal bit for bit."""
    assert without_times(found) == without_times(expected)
    for file in ("model/model.safetensors", "model/config.json", "predictions/validation.jsonl"):
        assert (found.path / file).read_bytes() == (expected.path / file).read_bytes(), file
    for key in ("scores", "details", "status", "data", "labels", "warnings"):
        assert found.manifest[key] == expected.manifest[key], key
    assert _untimed(found.manifest["training"]) == _untimed(expected.manifest["training"])
    assert not (found.path / "checkpoints").exists(), "a finished run needs no checkpoints"


def _untimed(training: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in training.items() if "seconds" not in key}


def assert_nothing_half_written(folder: Path) -> None:
    """Asserts that there is no temporary file or folder in `folder`."""
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*")]
    assert left == []


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Command:
    """A `bertune` command in a separate process."""

    def __init__(self, folder: Path, *arguments: object, before: Callable[[], None] | None = None) -> None:
        # Files instead of pipes, which would have to be read while it runs.
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / f"{time.monotonic_ns()}.out", folder / f"{time.monotonic_ns()}.err"
        words = [str(word) for word in arguments]
        self.process = new_process(target=_command, args=(words, *self._output, before), daemon=True)
        self.process.start()

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 120) -> Ended:
        """Waits until the process has ended."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"not ended after {seconds} s; stderr: {self._output[1].read_text()}")
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._output)
        return Ended(self.process.exitcode, stdout, stderr)


def wait_for_steps(run: Path, steps: int, command: Command, seconds: float = 120) -> None:
    """Waits until metrics.jsonl has `steps` lines; fails if the command ends before."""
    deadline = time.monotonic() + seconds
    while num_lines(run) < steps:
        assert command.process.is_alive(), command.end()
        assert time.monotonic() < deadline, f"step {steps} did not come"
        time.sleep(0.002)


def num_lines(run: Path) -> int:
    """The number of lines in metrics.jsonl."""
    try:
        return (run / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def as_arguments(overrides: Settings) -> list[str]:
    """Settings as command-line arguments."""
    return [f"{key}={value}" for key, value in overrides.items()]


def step_numbers(run: Path) -> list[int]:
    """The step of each line of metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def new_process(**options: Any) -> Any:
    """A `multiprocessing.Process` that has already imported _PRELOADED, which takes seconds."""
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn").Process(**options)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context.Process(**options)  # type: ignore[attr-defined]


def _command(words: list[str], out: Path, err: Path, before: Callable[[], None] | None) -> None:
    """Runs the command in the new process, with its output in files."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["bertune", *words]
    from bertune.cli.app import main

    if before is not None:
        before()
    # After `before`, which may have replaced a file by a terminal or a pipe.
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8", write_through=True)
        for number in (1, 2)
    )
    main()
