"""Rounds of real processes: their order, measurements and failures."""

import sys

import pytest

from bertune.bench.runner import Contestant, order, run_one, run_rounds

SAY = "import json, sys; print('noise'); print(json.dumps({'examples_per_second': %s, 'peak_rss_mb': 7.5}))"


def program(key: str, code: str, most_rounds: int | None = None, reports: bool = True) -> Contestant:
    return Contestant(key, key.upper(), (sys.executable, "-c", code), most_rounds, reports)


def keys(contestants: list[Contestant]) -> str:
    return "".join(c.key for c in contestants)


def test_the_order_rotates_from_round_to_round() -> None:
    sides = [program(key, "") for key in "ABC"]
    assert [keys(order(sides, number)) for number in (1, 2, 3, 4)] == ["ABC", "CAB", "BCA", "ABC"]


def test_a_slow_contestant_runs_in_fewer_rounds() -> None:
    sides = [program("A", ""), program("B", "", most_rounds=1), program("C", "")]
    assert [keys(order(sides, number)) for number in (1, 2, 3)] == ["ABC", "CA", "AC"]


def test_every_round_has_the_measurements_of_a_fresh_process() -> None:
    messages: list[str] = []
    sides = [program("a", SAY % 10), program("b", SAY % 20)]
    rounds = run_rounds(sides, 2, on_progress=messages.append)
    assert [r.number for r in rounds] == [1, 2]
    for round_ in rounds:
        assert round_.outcomes["a"].numbers == {"examples_per_second": 10}
        assert round_.outcomes["b"].value("examples_per_second") == 20
        assert round_.outcomes["a"].peak_rss_mb == 7.5
        assert round_.outcomes["a"].wall_seconds > 0 and round_.outcomes["a"].cpu_seconds > 0
        assert min(round_.calibration_seconds) > 0
    assert len(messages) == 4


def test_a_failure_is_reported_once_and_the_other_contestants_continue() -> None:
    messages: list[str] = []
    bad = "import sys; sys.exit('x' * 5000 + ' cannot open /home/someone/secret/file.txt')"
    rounds = run_rounds([program("bad", bad), program("good", SAY % 1)], 2, on_progress=messages.append)
    error = rounds[0].outcomes["bad"].error
    assert error is not None and error.startswith("exit code 1") and error.endswith("cannot open file.txt")
    assert len(error) < 700
    assert "bad" not in rounds[1].outcomes
    assert [r.outcomes["good"].value("examples_per_second") for r in rounds] == [1, 1]
    assert [text for text in messages if "failed" in text] == [f"BAD failed: {error}"]


@pytest.mark.parametrize("code", ["pass", "print('done')"])
def test_a_contestant_without_json_output_has_failed(code: str) -> None:
    assert "no JSON line" in str(run_one(program("a", code), 1).error)


def test_a_command_without_json_output_is_measured_as_a_process() -> None:
    outcome = run_one(program("a", "x = bytearray(1 << 26)", reports=False), 1)
    assert outcome.error is None
    assert outcome.value("wall_seconds") == outcome.wall_seconds
    assert outcome.value("examples_per_second") is None


def test_round_and_folder_are_substituted() -> None:
    code = (
        "import json, os, sys; there = os.path.exists(sys.argv[2])\n"
        "print(json.dumps({'round': sys.argv[1], 'free': not there}))"
    )
    side = Contestant("a", "A", (sys.executable, "-c", code, "{round}", "{folder}"))
    assert run_one(side, 3).numbers == {"round": "3", "free": True}


def test_a_contestant_killed_by_a_signal_has_failed() -> None:
    outcome = run_one(program("a", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), 1)
    assert outcome.error == "exit code -9: no output"
