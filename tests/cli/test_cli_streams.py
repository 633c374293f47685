"""Standard input and output: UTF-8 in any locale, and a single error if they cannot be used."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bertune.cli import streams
from tiny import BIN, bertune, process, reviews, write_csv

TEXT = "schön 坏 great phone"
NEEDS_FULL_DEVICE = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)


def test_input_and_output_are_utf_8_and_messages_never_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {"stdin": io.BytesIO(TEXT.encode()), "stdout": io.BytesIO(), "stderr": io.BytesIO()}
    for name, buffer in raw.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding="latin-1"))
    streams.prepare()
    assert sys.stdin.readline() == TEXT
    sys.stdout.write(f"{TEXT} caf\udce9")  # a path with a byte that is not UTF-8
    sys.stderr.write(TEXT)
    sys.stdout.flush()
    sys.stderr.flush()
    assert raw["stdout"].getvalue() == TEXT.encode() + b" caf\xe9"
    assert raw["stderr"].getvalue() == "schön \\u574f great phone".encode("latin-1")


@NEEDS_FULL_DEVICE
def test_messages_that_cannot_be_written_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, encoding="utf-8", write_through=True))
        streams.prepare()
        sys.stderr.write("a message")
        sys.stderr.flush()
        sys.stderr.writelines(["another\n"])


def test_predictions_are_utf_8_in_a_process_with_another_encoding(trained: Any) -> None:
    env = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "C"}
    said = process(BIN, "predict", trained.run, "-", cwd=trained.folder, env=env, stdin=TEXT).fine()
    assert [line["text"] for line in said.lines] == [TEXT]
    assert TEXT in said.out, "not escaped"


@NEEDS_FULL_DEVICE
@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        (">/dev/full", 4, "cannot write all results to standard output (No space left on device)"),
        (">&-", 3, "standard output is closed, so the results cannot be written"),
        ("1</dev/null", 3, "cannot write to standard output (Bad file descriptor)"),
    ],
)
def test_an_unwritable_output_is_a_single_error(
    here: Path, redirection: str, code: int, message: str
) -> None:
    command = ["sh", "-c", f'"$@" {redirection}', "sh", str(BIN), "tasks"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("error: ") and message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["predict", "evaluate", "check"])
def test_a_closed_output_is_refused_before_anything_is_computed(
    verb: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "is_closed", lambda: True)
    said = bertune(verb, *(["nowhere"] if verb != "check" else []), "nowhere.csv")
    assert said.code == 3 and "standard output is closed" in said.err and "nowhere" not in said.err


def test_an_input_that_cannot_be_read_is_refused() -> None:
    from bertune.data.tables import open_lines
    from bertune.errors import DataError

    with open("/dev/null", "wb") as write_only:
        stream = io.TextIOWrapper(io.BufferedReader(io.FileIO(write_only.fileno(), "r", closefd=False)))
        with pytest.raises(DataError, match="<stdin>, after line 0: the stream cannot be read"):
            open_lines(stream, "<stdin>", ("text",))


def test_tables_redirected_to_a_file_are_not_padded(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(20))
    lines = bertune("check", "a.csv", f"model.name={encoder}").fine().out.splitlines()
    table = [line for line in lines if line.startswith(("train ", "validation ", "─", " "))]
    assert table and max(map(len, table)) <= 100
    assert "" in lines and not any(line and line.isspace() for line in lines)


def test_a_long_label_is_wrapped_in_a_table_and_not_truncated() -> None:
    from rich.console import Console

    from bertune.console.show import class_table

    label = "".join(chr(ord("a") + i % 26) for i in range(230))
    scores = {"label": label, "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3}
    console = Console(file=io.StringIO(), width=100)
    console.print(class_table({"per_class": [scores]}))
    assert isinstance(console.file, io.StringIO)
    shown = "".join(line.split("1.0000")[0].strip() for line in console.file.getvalue().splitlines())
    assert label in shown


def test_an_interrupted_command_says_so(tmp_path: Path) -> None:
    """Typer alone would exit without a message."""
    reader = tmp_path / "interrupted.py"
    code = "import signal\n\ndef read(path, options):\n    signal.raise_signal(signal.SIGINT)\n    yield\n"
    reader.write_text(code)
    data = write_csv(tmp_path / "data.csv", reviews(4))
    done = bertune("check", data, f"data.reader={reader}", "model.name=minilm")
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


def test_ctrl_c_while_the_command_is_imported_is_no_traceback() -> None:
    code = (
        "import signal, sys\n"
        "from bertune.cli import main\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
