"""Training in separate processes: stopped, killed, running twice, and out of disk space."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crashes import AskedTwice, DieBeforeTouch, LargestFile

from bertune.run import Run, open_run
from trainings import (
    Command,
    Ended,
    as_arguments,
    assert_nothing_half_written,
    assert_same_work,
    num_lines,
    step_numbers,
    train,
    wait_for_steps,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")

Start = Callable[..., Command]


@pytest.fixture(scope="module")
def changes(settings: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Forty steps, with an evaluation or a checkpoint after most of them."""
    often = {"train.evaluate_every": 5, "train.checkpoint_every": 2}
    falling = {"train.best_metric": "loss"}  # at almost every evaluation
    return settings(**{"model.dropout": 0.2, "train.epochs": 5, "train.lr": 2e-3, **falling, **often})


@pytest.fixture(scope="module")
def whole(reviews_csv: Path, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of an uninterrupted training."""
    return train(reviews_csv, tmp_path_factory.mktemp("whole") / "run", changes)[0]


@pytest.fixture
def start(reviews_csv: Path, changes: dict[str, Any], tmp_path: Path) -> Iterator[Start]:
    """Starts `bertune train` into tmp_path/run, or resumes it."""
    started: list[Command] = []

    def go(*more: object, before: Callable[[], None] | None = None, out: Path | None = None) -> Command:
        folder = ("--out", out or tmp_path / "run")
        command = Command(
            tmp_path / "output", "train", reviews_csv, *as_arguments(changes), *folder, *more, before=before
        )
        started.append(command)
        return command

    yield go
    for command in started:
        if command.process.is_alive():
            command.process.kill()
            command.process.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_the_exit_code_is_130_and_a_resumed_run_is_identical(
    number: int, start: Start, whole: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = start()
    wait_for_steps(run, 3, command)
    command.signal(number)
    ended = command.end()
    taken = num_lines(run)
    assert ended.code == 130, ended
    assert f"stopped after step {taken:,} of 35; everything is saved" in ended.stderr
    assert f"bertune train {run} --resume" in unwrapped(ended.stderr)
    assert "Traceback" not in ended.stderr
    assert open_run(run).manifest["status"] == "interrupted"
    assert 3 <= taken < 35
    assert_nothing_half_written(run)

    # Resumed as in the message, from the run folder only.
    again = Command(tmp_path / "output", "train", run, "--resume").end()
    assert again.code == 0, again
    assert f"resuming after step {taken} of 35" in unwrapped(again.stderr)
    assert_same_work(open_run(run), whole)
    assert step_numbers(run) == list(range(1, 36))


@pytest.mark.slow
def test_the_installed_command_handles_signals_too(
    start: Start, whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    base = [sys.executable, "-m", "bertune", "train", str(reviews_csv), *as_arguments(changes)]
    with subprocess.Popen([*base, "--out", str(run)], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while num_lines(run) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert f"bertune train {run} --resume" in unwrapped(stderr)
    assert start("--resume").end().code == 0
    assert_same_work(open_run(run), whole)


def test_a_second_signal_stops_immediately_and_the_run_can_be_resumed(
    start: Start, whole: Run, tmp_path: Path
) -> None:
    ended = start(before=AskedTwice()).end()
    assert ended.code == 130, ended
    assert "stopped immediately" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert start("--resume").end().code == 0
    assert_same_work(open_run(tmp_path / "run"), whole)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_repeatedly_at_any_moment_is_identical_when_resumed(
    seed: int, start: Start, whole: Run, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    run = tmp_path / "run"
    kills = 0
    for attempt in range(12):
        command = start(*(["--resume"] if run.exists() else []))
        if attempt < 5:
            goal = num_lines(run) + draw.randint(1, 8)
            while command.process.is_alive() and num_lines(run) < goal:
                time.sleep(0.001)
            time.sleep(draw.random() * 0.03)
            command.process.kill()
            command.process.join()
        ended = command.end()
        if ended.code == 0:
            break
        assert ended.code == -signal.SIGKILL, ended
        kills += 1
    assert kills >= 3
    assert_same_work(open_run(run), whole)
    assert step_numbers(run) == list(range(1, 36))


@pytest.mark.parametrize("first", [33, *(pytest.param(other, marks=pytest.mark.slow) for other in (2, 88))])
def test_a_run_killed_before_any_file_operation_is_identical_when_resumed(
    first: int, start: Start, whole: Run, tmp_path: Path
) -> None:
    """Each process is killed before a later file operation than the previous one."""
    run = tmp_path / "run"
    touches, kills = first, 0
    for _ in range(12):
        resume = ["--resume"] if run.exists() else []
        ended = start(*resume, before=DieBeforeTouch(run, touches)).end()
        if ended.code == 0:
            break
        assert ended.code == -signal.SIGKILL, ended
        kills, touches = kills + 1, touches + 37
    assert kills >= 2
    assert_same_work(open_run(run), whole)
    assert step_numbers(run) == list(range(1, 36))
    assert_nothing_half_written(run)


def test_a_second_process_is_refused_while_the_first_one_runs(
    start: Start, whole: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = start()
    wait_for_steps(run, 1, first)
    first.signal(signal.SIGSTOP)  # stopped, but it still holds the lock
    second, resumed = start(), start("--resume")
    for ended in (second.end(), resumed.end()):
        assert ended.code == 3, ended
        assert f"another process is writing to {run}" in unwrapped(ended.stderr)
        assert "Traceback" not in ended.stderr
    first.signal(signal.SIGCONT)
    assert first.end().code == 0
    assert_same_work(open_run(run), whole)


def test_an_existing_run_is_not_changed(start: Start, whole: Run, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()}
    ended = start(out=whole.path).end()
    assert ended.code == 1
    assert "already exists. Nothing in it was changed" in unwrapped(ended.stderr)
    assert {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()} == before


def test_a_killed_run_is_not_reported_as_busy(start: Start, tmp_path: Path) -> None:
    command = start()
    wait_for_steps(tmp_path / "run", 1, command)
    command.process.kill()
    command.process.join()
    ended = start().end()
    assert ended.code == 1, ended
    assert "--resume" in ended.stderr


def assert_says_the_disk_is_full(ended: Ended) -> None:
    assert ended.code == 4, ended
    assert ended.stderr.count("error:") == 1
    assert "no space left on the disk" in unwrapped(ended.stderr)
    assert "Traceback" not in ended.stderr


# The limits are exceeded by the manifest, the weights of the first evaluation, and the optimizer moments.
@pytest.mark.parametrize("size", [3_000, 60_000, 150_000], ids="{:,} bytes".format)
def test_a_file_too_large_for_the_disk_is_reported_and_removed(
    size: int, start: Start, tmp_path: Path
) -> None:
    parent = tmp_path / "runs"
    parent.mkdir()
    assert_says_the_disk_is_full(start(before=LargestFile(size), out=parent / "run").end())
    assert list(parent.iterdir()) == [], "no half-written run may be left"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of a few kilobytes; skips the test if it cannot be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


can_mount = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root may mount a small disk"
)


@can_mount
@pytest.mark.parametrize("size", ["4k", "16k", "64k", "200k"])
def test_a_full_disk_is_reported_and_no_files_remain(size: str, start: Start, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        assert_says_the_disk_is_full(start(out=disk / "run").end())
        assert list(disk.iterdir()) == []


@can_mount
@pytest.mark.parametrize("room", [0, 8, 120])
def test_a_run_on_a_disk_that_fills_up_can_be_resumed(
    room: int, start: Start, whole: Run, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        run = disk / "run"
        first = start(out=run)
        wait_for_steps(run, 4, first)
        first.signal(signal.SIGSTOP)
        fill(disk / "ballast", but_for=room * 1024)
        first.signal(signal.SIGCONT)
        assert_says_the_disk_is_full(first.end())
        (disk / "ballast").unlink()
        assert start("--resume", out=run).end().code == 0
        assert_same_work(open_run(run), whole)
        assert_nothing_half_written(run)


def test_a_folder_that_cannot_be_written_is_reported(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    ended = start(out=tmp_path / "file" / "run").end()
    assert ended.code == 3, ended
    assert "cannot write" in unwrapped(ended.stderr)
    assert "Traceback" not in ended.stderr


def test_random_weights_are_announced(
    reviews_csv: Path, tiny_folder: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    words = as_arguments(changes | {"model.name": str(tiny_folder), "train.epochs": 0.1})
    ended = Command(tmp_path / "output", "train", reviews_csv, *words, "--out", tmp_path / "run").end()
    assert ended.code == 0, ended
    assert "has no weights: the encoder is randomly initialized" in unwrapped(ended.stderr)
    assert open_run(tmp_path / "run").manifest["model"]["weights"] == "random"


def fill(path: Path, but_for: int) -> None:
    """Writes zeros until `but_for` bytes are left on the disk."""
    free = os.statvfs(path.parent)
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for _ in range(max(0, free.f_bavail * free.f_frsize - but_for) // 4096):
            file.write(b"\0" * 4096)


def unwrapped(text: str) -> str:
    """A message without line breaks."""
    return " ".join(text.split())
