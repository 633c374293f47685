"""The command as a whole: help, exit codes, and no tracebacks."""

import sys
from pathlib import Path

import pytest

from tiny import BIN, bertune, contents, process, reviews, write_csv

VERBS = ("train", "check", "evaluate", "predict", "report", "bench")


def test_help_lists_every_command_and_the_exit_codes() -> None:
    help_ = bertune("--help").fine()
    for word in (*VERBS, "key=value", "stderr", "stdout", "130"):
        assert word in help_.out
    assert help_.err == ""


def test_help_shows_each_example_on_its_own_line() -> None:
    lines = [line.strip() for line in bertune("--help").out.splitlines()]
    for example in ("bertune train reviews.csv model.name=minilm", "bertune predict runs/reviews new.csv"):
        shown = [line for line in lines if example in line]
        assert len(shown) == 1 and shown[0].startswith(example), "\n".join(lines)
        assert shown[0].count("bertune") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(verb: str) -> None:
    help_ = bertune(verb, "--help").fine()
    assert f"bertune {verb}" in help_.out
    assert len(help_.out.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["fly"], "fly"),
        (["--fly"], "--fly"),
        (["train", "--epochs", "3", "a.csv"], "--epochs"),
        (["predict", "run", "a.csv", "--resume"], "--resume"),
        (["train"], "SOURCE"),
        (["predict", "run"], "FILE"),
        (["evaluate", "run"], "FILE"),
    ],
)
def test_an_unknown_command_or_flag_is_a_usage_error(arguments: list[str], seen: str, here: Path) -> None:
    said = bertune(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert seen in said.err and "--help" in said.err
    assert not contents(here)


def test_the_bare_command_shows_its_help() -> None:
    said = bertune()
    assert all(verb in said.out + said.err for verb in VERBS)


def test_an_error_in_a_process_is_one_message_and_exit_code_3(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(4))
    before = contents(here)
    said = process(BIN, "train", "a.csv", f"model.name={encoder}", "data.text=body", cwd=here)
    assert said.code == 3
    assert said.out == ""
    assert said.err.startswith("error: ") and "Traceback" not in said.err
    assert contents(here) == before


def test_python_dash_m_is_the_same_command(here: Path) -> None:
    assert process(sys.executable, "-m", "bertune", "fly", cwd=here).code == 2


def test_chinese_texts_are_read_and_written_in_a_bare_locale(here: Path, encoder: Path) -> None:
    write_csv(here / "评论.csv", [("手机 很好", "好评"), ("broken 屏幕", "差评")] * 4)
    env = {"LC_ALL": "C", "LANG": "C"}
    said = process(BIN, "check", "评论.csv", f"model.name={encoder}", "--json", cwd=here, env=env).fine()
    assert set(said.json["data"]["splits"]["train"]["labels"]) == {"好评", "差评"}
