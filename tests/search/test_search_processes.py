"""A killed search, continued by two processes at once, ends with exactly the requested trials."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertune.search.events import TrialFinished
from bertune.search.searching import search
from bertune.source import resolve_source
from bertune.tuning import Tuning
from trainings import new_process, num_lines

SPACE = {"tune.space.train.lr": "1e-4..1e-2", "tune.trials": 4, "tune.prune": 0.0}


def share(settings: dict[str, Any], path: Path, out: Path, report: Path) -> None:
    """Works on a search in a process, and reports the trials that it completed."""
    events = search(resolve_source(str(path), settings), out, resume=True)
    done = [event.trial.number for event in events if isinstance(event, TrialFinished)]
    report.write_text(json.dumps(done), encoding="utf-8")


def test_a_killed_search_is_continued_by_two_processes(
    reviews_csv: Path, settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    given = settings(**SPACE, **{"train.epochs": 5, "machine.threads": 1})
    out = tmp_path / "reviews-tune"
    killed = new_process(target=share, args=(given, reviews_csv, out, tmp_path / "killed.json"))
    killed.start()
    deadline = time.monotonic() + 300
    while num_lines(out / "trials" / "trial-2") < 3:
        assert killed.is_alive()
        assert time.monotonic() < deadline, "the third trial did not start"
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    before = [trial.outcome for trial in Tuning(out).trials]
    assert before == ["complete", "complete"]

    reports = [tmp_path / f"{number}.json" for number in (1, 2)]
    processes = [new_process(target=share, args=(given, reviews_csv, out, report)) for report in reports]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    numbers = [json.loads(report.read_text(encoding="utf-8")) for report in reports]
    # Trial 2, in which the first process was killed, is continued.
    assert sorted(numbers[0] + numbers[1]) == [2, 3]
    result = Tuning(out)
    assert result.is_complete
    assert [(trial.number, trial.outcome) for trial in result.trials] == [(n, "complete") for n in range(4)]
    values = [trial.value for trial in result.trials if trial.value is not None]
    assert result.record.winner is not None
    assert result.record.winner.value == max(values)
    assert not list(out.glob(".*")), "locks and temporary files are removed"
