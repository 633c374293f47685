"""Long names, little memory and a closed terminal cause at most one error, and no work is lost."""

import json
import os
import pty
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bertune.run import open_run
from tiny import BIN, QUICK, bertune, process, reviews, write_csv
from trainings import Command, wait_for_steps

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and signals are those of POSIX")

LONG_NAMES = [
    pytest.param("x" * 300, id="300 letters"),
    pytest.param("/".join(["d" * 200] * 25), id="a long path"),
]


@pytest.mark.parametrize("name", LONG_NAMES)
def test_a_name_that_is_too_long_is_refused_by_every_command(
    name: str,
    model: Path,
    train_csv: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    commands: list[tuple[object, ...]] = [
        ("train", train_csv, f"model.name={tiny_weights}", *QUICK, "--out", name),
        ("train", train_csv, f"model.name={name}", *QUICK),
        ("train", name),
        ("train", name, "--resume"),
        ("predict", name, train_csv),
        ("predict", model, name),
        ("predict", model, train_csv, "--out", f"{name}.jsonl"),
        ("evaluate", model, train_csv, "--out", f"{name}.jsonl"),
        ("report", name),
    ]
    for command in commands:
        said = bertune(*command)
        assert said.code == 3, (command, said)
        assert said.err.count("error:") == 1 and "Traceback" not in said.err, said.err
        assert "too long" in said.err and len(said.err) < 1000, said.err


def test_the_longest_valid_name_is_accepted(train_csv: Path, tiny_weights: Path, tmp_path: Path) -> None:
    run = tmp_path / ("r" * 255)
    bertune("train", train_csv, f"model.name={tiny_weights}", *QUICK, "--out", run).fine()
    bertune("predict", run, train_csv, "--out", tmp_path / ("p" * 249 + ".jsonl")).fine()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not limit address space")
@pytest.mark.parametrize("megabytes", [350, 500, 600])  # torch itself aborts with some of these
def test_too_little_memory_for_the_libraries_is_reported_as_such(
    megabytes: int, model: Path, train_csv: Path, tmp_path: Path
) -> None:
    limited = f'ulimit -v {megabytes * 1024}; exec "$0" "$@"'
    said = process("bash", "-c", limited, BIN, "predict", model, train_csv, cwd=tmp_path)
    assert said.code == 4, (said.code, said.err)
    assert "Traceback" not in said.err and "out of memory" in said.err


class TestManifests:
    """For any manifest, a report is written or one error names the key."""

    PLACES: ClassVar[list[tuple[tuple[str, ...], Any]]] = [
        (("training", "steps_done"), "<b>1</b>"), (("training", "best"), [1]),
        (("training", "best", "step"), "7"), (("timings",), {"train_seconds": "<script>"}),
        (("scores", "validation"), {"mcc": "high"}), (("scores",), [1]), (("labels",), [1, 2]),
        (("labels",), "good"), (("data", "splits", "train", "rows"), "many"), (("data", "splits"), []),
        (("data", "splits", "train", "tokens"), {"p50": "x"}), (("model", "blocks"), [5]),
        (("details", "test", "confusion_matrix"), [["a"]]), (("details", "test", "per_class"), [{"f1": "x"}]),
        (("details", "test", "figures"), [{"kind": "calibration", "bins": [{}]}]), (("warnings",), [None]),
        (("max_length", "value"), {}), (("peak_memory_mb",), "x"), (("versions",), 5), (("status",), 5),
    ]  # fmt: skip

    @pytest.mark.parametrize(("place", "value"), PLACES, ids=lambda v: str(v)[:30])
    def test_a_value_of_another_type_is_refused_by_its_key(
        self, place: tuple[str, ...], value: Any, run: Path
    ) -> None:
        from bertune.files import sealed

        manifest = json.loads((run / "manifest.json").read_text())
        owner = manifest
        for key in place[:-1]:
            owner = owner[key]
        owner[place[-1]] = value
        (run / "manifest.json").write_text(json.dumps(sealed(manifest)))
        said = bertune("report", run)
        assert said.code == 3 and said.err.count("error:") == 1 and "Traceback" not in said.err, said.err
        assert "manifest.json" in said.err and ".".join(place) in said.err, said.err

    def test_a_changed_score_is_noticed(self, run: Path) -> None:
        text = (run / "manifest.json").read_text()
        (run / "manifest.json").write_text(text.replace('"accuracy": ', '"accuracy": 1', 1))
        said = bertune("report", run)
        assert said.code == 3 and "checksum" in said.err and "bertune predict" in said.err
        bertune("predict", run, "-", stdin="good\n").fine()  # as the message says

    @pytest.mark.parametrize("file", ["config.toml", "metrics.jsonl", "predictions/test.jsonl"])
    def test_a_changed_file_of_a_finished_run_is_named(self, file: str, run: Path) -> None:
        (run / file).write_bytes((run / file).read_bytes().replace(b"1", b"2", 1))
        for verb in (("report", run), ("train", run, "--resume")):
            said = bertune(*verb)
            assert said.code == 3 and file in said.err and "Traceback" not in said.err, said.err

    def test_an_empty_settings_file_of_a_run_is_named(self, run: Path) -> None:
        (run / "config.toml").write_text("")
        for verb in (
            ("report", run),
            ("train", run, "--resume"),
            ("train", run, "--out", run.parent / "new"),
        ):
            said = bertune(*verb)
            assert said.code == 3 and "config.toml" in said.err and "Traceback" not in said.err, said.err


@dataclass(frozen=True)
class OnATerminal:
    """Makes a terminal the controlling terminal and the standard streams of a process."""

    path: str

    def __call__(self) -> None:
        os.setsid()  # the first terminal opened by a session leader becomes its controlling terminal
        terminal = os.open(self.path, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(terminal, number)


def close_reader_of_stderr() -> None:
    """Makes standard error a pipe whose reader is closed."""
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    os.close(reader)


def test_a_closed_terminal_stops_training_cleanly_and_it_can_be_resumed(
    tiny_weights: Path, tmp_path: Path
) -> None:
    """When a terminal is closed, the kernel sends SIGHUP, and later writes to it fail."""
    csv = write_csv(tmp_path / "train.csv", reviews(40))
    words = ["train", csv, f"model.name={tiny_weights}", "train.epochs=4000", "train.batch_size=8"]
    words += ["train.checkpoint_every=100000", "train.evaluate_every=100000", "--out", tmp_path / "run"]
    terminal, seen_by_command = pty.openpty()
    command = Command(tmp_path / "output", *words, before=OnATerminal(os.ttyname(seen_by_command)))
    wait_for_steps(tmp_path / "run", 21, command)
    os.close(seen_by_command)
    os.close(terminal)
    assert command.end().code == 130
    run = open_run(tmp_path / "run")
    assert run.manifest["status"] == "interrupted"
    steps = len(run.metrics())
    (checkpoint,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    assert checkpoint.name == f"step-{steps:08d}" and steps > 20, "the work up to the signal is saved"


@pytest.mark.parametrize(("name", "stops"), [("SIGHUP", True), ("SIGUSR1", True), ("SIGHUP ignored", False)])
def test_signals_of_terminals_and_schedulers(
    name: str, stops: bool, tiny_weights: Path, tmp_path: Path
) -> None:
    from bertune.training.signals import stop_on_signals

    number = getattr(signal, name.split()[0])
    before = signal.signal(number, signal.SIG_IGN if "ignored" in name else signal.SIG_DFL)
    try:
        with stop_on_signals() as flag:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            assert flag.is_set == stops
    finally:
        signal.signal(number, before)


def test_training_continues_if_the_reader_of_its_messages_is_closed(
    tiny_weights: Path, tmp_path: Path
) -> None:
    csv = write_csv(tmp_path / "train.csv", reviews(40))
    words = ["train", csv, f"model.name={tiny_weights}", *QUICK, "--out", tmp_path / "run"]
    assert Command(tmp_path / "output", *words, before=close_reader_of_stderr).end().code == 0
    assert open_run(tmp_path / "run").manifest["status"] == "complete"
