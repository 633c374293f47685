"""Rounds of real processes: who runs when, and what becomes of one that fails."""

import sys

import pytest

from bertune.bench.runner import Contestant, order, run_one, run_rounds

SAY = "import json, sys; print('noise'); print(json.dumps({'examples_per_second': %s, 'peak_rss_mb': 7.5}))"


def program(key: str, code: str, most_rounds: int | None = None, reports: bool = True) -> Contestant:
    return Contestant(key, key.upper(), (sys.executable, "-c", code), most_rounds, reports)


def keys(contestants: list[Contestant]) -> str:
    return "".join(c.key for c in contestants)


def test_each_round_begins_with_another_side() -> None:
    sides = [program(key, "") for key in "ABC"]
    assert [keys(order(sides, number)) for number in (1, 2, 3, 4)] == ["ABC", "CAB", "BCA", "ABC"]


def test_a_slow_side_takes_part_in_fewer_rounds() -> None:
    sides = [program("A", ""), program("B", "", most_rounds=1), program("C", "")]
    assert [keys(order(sides, number)) for number in (1, 2, 3)] == ["ABC", "CA", "AC"]


def test_every_round_has_the_numbers_of_a_fresh_process() -> None:
    said: list[str] = []
    sides = [program("a", SAY % 10), program("b", SAY % 20)]
    rounds = run_rounds(sides, 2, on_progress=said.append)
    assert [r.number for r in rounds] == [1, 2]
    for round_ in rounds:
        assert round_.outcomes["a"].numbers == {"examples_per_second": 10}
        assert round_.outcomes["b"].value("examples_per_second") == 20
        assert round_.outcomes["a"].peak_rss_mb == 7.5
        assert round_.outcomes["a"].wall_seconds > 0 and round_.outcomes["a"].cpu_seconds > 0
        assert min(round_.calibration_seconds) > 0
    assert len(said) == 4


def test_a_failing_side_is_said_once_with_the_end_of_its_errors_and_the_others_go_on() -> None:
    said: list[str] = []
    bad = "import sys; sys.exit('x' * 5000 + ' cannot open /home/someone/secret/file.txt')"
    rounds = run_rounds([program("bad", bad), program("good", SAY % 1)], 2, on_progress=said.append)
    error = rounds[0].outcomes["bad"].error
    assert error is not None and error.startswith("exit code 1") and error.endswith("cannot open file.txt")
    assert len(error) < 700
    assert "bad" not in rounds[1].outcomes
    assert [r.outcomes["good"].value("examples_per_second") for r in rounds] == [1, 1]
    assert [text for text in said if "failed" in text] == [f"BAD failed: {error}"]


@pytest.mark.parametrize("code", ["pass", "print('done')"])
def test_a_side_that_prints_no_numbers_has_failed(code: str) -> None:
    assert "no JSON line" in str(run_one(program("a", code), 1).error)


def test_of_a_silent_command_the_process_is_measured() -> None:
    outcome = run_one(program("a", "x = bytearray(1 << 26)", reports=False), 1)
    assert outcome.error is None
    assert outcome.value("wall_seconds") == outcome.wall_seconds
    assert outcome.value("examples_per_second") is None


def test_round_and_folder_are_filled_in() -> None:
    code = (
        "import json, os, sys; there = os.path.exists(sys.argv[2])\n"
        "print(json.dumps({'round': sys.argv[1], 'free': not there}))"
    )
    side = Contestant("a", "A", (sys.executable, "-c", code, "{round}", "{folder}"))
    assert run_one(side, 3).numbers == {"round": "3", "free": True}


def test_a_side_that_a_signal_ended_has_failed() -> None:
    outcome = run_one(program("a", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), 1)
    assert outcome.error == "exit code -9: no output"
