"""Regression tests with the real command: special files, forged records, unusual paths."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from strangers import edit_json, reseal

from bertune.errors import BertuneError
from bertune.files import sealed
from tiny import BIN, QUICK, Result, bertune, reviews, write_csv

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs, devices and SIGALRM are POSIX")
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Makes a blocked test fail after some seconds."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the command did not end")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refused(said: Result, *words: str) -> None:
    """Asserts exit code 3 and one error that contains all of the words."""
    assert said.code == 3, said.err
    assert len(re.findall("^error:", said.err, re.MULTILINE)) == 1 and "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err


def forge(run: Path, change: Callable[[Json], Any]) -> None:
    """Changes the manifest of a run and updates its checksum, as an attacker who knows bertune would."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(sealed(manifest)), encoding="utf-8")


def put_special(path: Path, kind: str) -> None:
    """Replaces a file with a FIFO without a writer, or with a link to an endless device."""
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["fifo", "device"])
class TestSpecialFiles:
    """Opening a FIFO blocks, and reading a device such as /dev/zero never ends."""

    @pytest.mark.parametrize("name", ["config.toml", "metrics.jsonl", "predictions/test.mistakes.json"])
    def test_links_in_a_run_are_refused(self, kind: str, name: str, run: Path) -> None:
        put_special(run / name, kind)
        refused(bertune("report", run), name, "not a regular file")
        assert bertune("train", run, "--resume").code == 3

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_links_in_a_saved_model_are_refused(self, kind: str, name: str, model: Path) -> None:
        put_special(model / name, kind)
        refused(bertune("predict", model, "-", stdin="good\n"), name, "not a regular file")

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
    def test_links_in_an_encoder_are_refused(
        self, kind: str, name: str, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        put_special(encoder / name, kind)
        said = bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "out")
        refused(said, name, "not a regular file")
        assert not (tmp_path / "out").exists()


class TestForgedManifests:
    """A manifest with valid types and checksum may still contain arbitrary values."""

    @pytest.mark.parametrize("name", ["/dev/zero", "a\0b"])
    def test_a_recorded_file_that_cannot_be_read_is_named(self, name: str, run: Path) -> None:
        forge(run, lambda manifest: manifest.update(files={name: "0" * 64}))
        for verb in (("report", run), ("train", run, "--resume")):
            refused(bertune(*verb), "cannot be read")

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            (lambda m: m.update(training={}), "training.best"),
            (lambda m: m.update(training=None), "training"),
            (lambda m: m["training"].update(best={}), "training.best.value"),
            (lambda m: m.update(timings={}), "timings.train_examples_per_second"),
            (lambda m: m["scores"]["test"].update(mcc={"value": 0.5}), "scores.test.mcc"),
        ],
    )
    def test_a_finished_run_without_results_is_not_resumed(
        self, change: Callable[[Json], Any], key: str, run: Path
    ) -> None:
        forge(run, change)
        refused(bertune("train", run, "--resume"), "manifest.json", key)

    def test_a_number_of_hundreds_of_digits_is_refused(self, run: Path) -> None:
        forge(run, lambda m: m["details"]["test"].update(confusion_matrix=[[10**400, 1], [0, 1]]))
        refused(bertune("report", run), "manifest.json", "401 digits")

    def test_a_kept_step_that_was_not_taken_does_not_widen_the_figure(self, run: Path) -> None:
        """The size of the figure used to grow with the step, up to a traceback or an out-of-memory error."""
        forge(run, lambda manifest: manifest["training"]["best"].update(step=10**18))
        bertune("report", run).fine()
        assert (run / "report" / "learning_curves.png").stat().st_size < 10**6


def test_a_family_without_a_vocabulary_is_refused(encoder: Path, train_csv: Path, tmp_path: Path) -> None:
    """Multimodal models store their sizes in the configurations of their parts."""
    edit_json(encoder / "config.json", lambda config: {"model_type": "qwen2_vl"})
    said = bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "out")
    refused(said, "config.json", "qwen2_vl", "vocabulary")


@pytest.mark.parametrize("name", ["with space", "-leading-dash"])
def test_a_command_that_is_printed_can_be_pasted(
    name: str, encoder: Path, train_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / name).fine()
    command = said.err[said.err.index("bertune predict") :]
    folder = shlex.split(command)[2]
    assert not folder.startswith("-") and (tmp_path / folder / "model").is_dir()


class TestForgedModels:
    """`bertune.json` with forged values and valid checksums."""

    @pytest.mark.parametrize(
        ("change", "word"), [({"labels": []}, "0"), ({"max_length": 1000}, "max_length is 1,000")]
    )
    def test_metadata_of_another_model_is_refused(self, change: Json, word: str, model: Path) -> None:
        reseal(model, lambda stored: stored | change)
        refused(bertune("predict", model, "-", stdin="good\n"), "bertune.json", word)

    def test_any_number_of_text_columns_is_refused_in_order(self, model: Path, tmp_path: Path) -> None:
        names = [f"column {number}" for number in range(100)]
        reseal(model, lambda stored: stored | {"columns": {"text": names, "label": None, "id": None}})
        refused(bertune("predict", model, "-", stdin="good\n"))


def test_a_number_of_threads_that_ends_the_process_is_refused(model: Path) -> None:
    refused(bertune("predict", model, "-", "machine.threads=1000000000", stdin="good\n"), "1,024")


def test_an_unpaired_surrogate_gives_valid_json(model: Path, tmp_path: Path) -> None:
    line = '{"text": "good", "mine": "\\ud800"}'
    said = bertune("predict", model, "-", stdin=line + "\n").fine()
    assert said.lines[0]["mine"] == "\ud800"
    (tmp_path / "texts.jsonl").write_text(line + "\n")
    for name in ("out.csv", "out.parquet", "out.jsonl"):
        bertune("predict", model, tmp_path / "texts.jsonl", "--out", tmp_path / name).fine()


class TestPaths:
    """Folders with unexpected entries, and names that are not UTF-8."""

    def test_names_that_are_not_utf_8_can_be_written(self, model: Path, tmp_path: Path) -> None:
        write_csv(tmp_path / "texts.csv", reviews(4))
        out = tmp_path / os.fsdecode(b"\xff.jsonl")
        assert bertune("predict", model, tmp_path / "texts.csv", "--out", out).code == 0
        assert out.read_text().count("\n") == 4

    @pytest.mark.parametrize("entry", ["checkpoints", ".bertune-lock"])
    def test_links_at_the_temporary_path_of_a_run_are_not_followed(
        self, entry: str, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (tmp_path / ".out.new.bertune-tmp").mkdir()
        (tmp_path / ".out.new.bertune-tmp" / entry).symlink_to(outside)
        said = bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / "out")
        refused(said, entry, "symbolic link")
        assert list(outside.iterdir()) == [] and not (tmp_path / "out").exists()

    def test_a_file_at_the_temporary_path_of_a_run_is_removed(
        self, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / ".out.new.bertune-tmp")
        bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / "out").fine()
        assert not (tmp_path / ".out.new.bertune-tmp").exists()


def test_a_number_too_large_to_be_squared_is_refused(encoder: Path, tmp_path: Path) -> None:
    rows = [*((f"good {number}", str(number)) for number in range(20)), ("bad", "1e308")]
    data = write_csv(tmp_path / "train.csv", rows)
    said = bertune("train", data, "task.name=regression", f"model.name={encoder}", "--out", tmp_path / "out")
    refused(said, "line 22", "1e308", "too large")


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_a_special_file_in_place_of_the_metrics_is_replaced_or_refused(kind: str, run: Path) -> None:
    from bertune.run_writer import RunWriter

    path = run / "metrics.jsonl"
    lines = path.read_bytes()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
        assert RunWriter(run).restore_metrics(lines) and path.read_bytes() == lines
    else:
        path.mkdir()
        with pytest.raises(BertuneError, match="is a folder"):
            RunWriter(run).restore_metrics(lines)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_do_not_fit_on_standard_output_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bertune.cli.app import exit_on_error

    with open("/dev/full", "w") as full, pytest.raises(SystemExit, match="4"):
        monkeypatch.setattr(sys, "stdout", full)
        with exit_on_error():
            sys.stdout.write("a prediction")
            sys.stdout.flush()
    assert capsys.readouterr().err.startswith("error: cannot write all results to standard output")


def test_files_do_not_reuse_closed_standard_streams(model: Path, tmp_path: Path) -> None:
    """A file opened after a stream was closed gets its descriptor, and would receive its output."""
    out = tmp_path / "out.jsonl"
    texts = write_csv(tmp_path / "texts.csv", reviews(4))
    command = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", str(BIN), "predict", str(model)]
    done = subprocess.run([*command, str(texts), "--out", str(out)], check=False)
    assert done.returncode == 0 and len(out.read_text().splitlines()) == 4


def test_training_completes_if_its_messages_cannot_be_written(
    encoder: Path, train_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `2>/dev/full`, or if the terminal is closed before the first step."""
    from rich.console import Console

    from bertune.console import show

    with open("/dev/null") as unwritable:
        monkeypatch.setattr(show, "messages", lambda: Console(file=unwritable, width=80))
        bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / "out").fine()
    assert (tmp_path / "out" / "report" / "index.html").is_file()
