"""Trials distributed over processes and machines: exactly the requested number, whatever is killed."""

import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from bertune.search.space import Choices, Range, Space
from bertune.search.study import Budget, Plan, TakenTrial, TrialQueue, open_storage

FINITE = Space({"train.batch_size": Choices((8, 16, 32)), "train.freeze": Choices(("none", "encoder"))})
CONTINUOUS = Space({"train.lr": Range(1e-5, 1e-3, is_whole=False, is_log=True)})


def plan_of(space: Space, **changes: Any) -> Plan:
    given = {"planned": [], "num_spread": 3, "prune": 0.0, "lower_is_better": False, "seed": 42, **changes}
    return Plan(space=space, **given)


def queue_in(folder: Path, plan: Plan, storage: str = "journal", place: Path | None = None) -> TrialQueue:
    """A queue whose storage is in `folder`; `place` is the folder of another machine."""
    out = place or folder
    out.mkdir(exist_ok=True)
    if not (out / "search-id").exists():
        (out / "search-id").write_text(uuid.uuid4().hex, encoding="utf-8")
    return TrialQueue(open_storage(storage, folder), "study", plan, out, "trial")


def finish(queue: TrialQueue, taken: TakenTrial | None, value: float | None = 0.5) -> Mapping[str, Any]:
    assert taken is not None
    assert queue.finish(taken, value, {"seconds": 10.0})
    return taken.params


def states(queue: TrialQueue) -> list[str]:
    return [trial.state.name for trial in queue.study.trials]


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_machines_with_one_storage_complete_exactly_the_requested_trials(
    tmp_path: Path, storage: str
) -> None:
    plan, budget = plan_of(CONTINUOUS, planned=[{"train.lr": 5e-5}]), Budget(5)
    queues = [queue_in(tmp_path, plan, storage, tmp_path / name) for name in ("a", "b")]
    first, second = (queue.take(budget) for queue in queues)
    assert first is not None
    assert first.params == {"train.lr": 5e-5}
    assert (first.position, first.number, first.was_started) == (1, 0, False)
    finish(queues[1], second)
    for _ in range(3):
        finish(queues[1], queues[1].take(budget))
    assert queues[1].take(budget) is None, "the first machine still trains the fifth trial"
    assert not queues[1].is_complete(budget)
    finish(queues[0], first)
    assert all(queue.is_complete(budget) for queue in queues)
    assert states(queues[0]) == ["COMPLETE"] * 5


def test_a_finite_space_is_tried_once_and_completely(tmp_path: Path) -> None:
    queue, budget = queue_in(tmp_path, plan_of(FINITE)), Budget(6)
    found = [finish(queue, queue.take(budget)) for _ in range(6)]
    assert sorted(map(str, found)) == sorted(map(str, FINITE.combinations()))
    assert queue.take(budget) is None
    assert len(queue.done()) == 6
    withdrawn = [trial for trial in queue.study.trials if trial.state == TrialState.FAIL]
    assert {trial.user_attrs["withdrawn"] for trial in withdrawn} <= {"repeated"}


def test_no_settings_are_tried_twice(tmp_path: Path) -> None:
    for seed in range(3):
        queue = queue_in(tmp_path / str(seed), plan_of(FINITE, num_spread=None, seed=seed))
        found = [finish(queue, queue.take(Budget(5))) for _ in range(5)]
        assert len(set(map(str, found))) == 5


def test_a_trial_that_two_machines_start_for_the_last_place_is_withdrawn(tmp_path: Path) -> None:
    plan, budget = plan_of(CONTINUOUS), Budget(1)
    queues = [queue_in(tmp_path, plan, place=tmp_path / name) for name in ("a", "b")]
    # What `take` does after both machines have seen that a place is free.
    first, second = (queue._new(budget, is_random=False) for queue in queues)
    assert second is None
    finish(queues[0], first)
    assert states(queues[0]) == ["COMPLETE", "FAIL"]


def test_a_killed_trial_is_continued_before_a_new_one_starts(tmp_path: Path) -> None:
    plan, budget = plan_of(CONTINUOUS), Budget(3)
    queue, other = queue_in(tmp_path, plan), queue_in(tmp_path, plan)
    killed = queue.take(budget)
    assert killed is not None
    taken = other.take(budget)
    assert taken is not None
    assert taken.number == 1, "the lock shows that the first process still trains trial 0"
    queue.report(killed, 100, 0.4)
    killed.release()  # as the operating system does for a killed process
    again = other.take(budget)
    assert again is not None
    assert (again.number, again.params, again.was_started) == (0, killed.params, True)
    other.report(again, 100, 0.4)  # the last steps before the checkpoint are repeated
    finish(other, again)
    finish(other, taken)
    finish(queue, queue.take(budget))
    assert states(queue) == ["COMPLETE"] * 3


def test_a_trial_of_a_lost_machine_is_replaced(tmp_path: Path) -> None:
    plan, budget = plan_of(CONTINUOUS), Budget(2)
    lost = queue_in(tmp_path, plan, place=tmp_path / "a")
    here = queue_in(tmp_path, plan, place=tmp_path / "b")
    trial = lost.take(budget)
    assert trial is not None
    finish(here, here.take(budget))
    assert here.take(budget) is None
    # What `fail_stale_trials` does after 15 minutes without a heartbeat.
    here.study.tell(trial.number, state=TrialState.FAIL)
    finish(here, here.take(budget))
    assert here.is_complete(budget)
    assert not lost.finish(trial, 0.9, {"seconds": 1.0}), "its result comes too late"
    assert len(here.done()) == 2


def test_a_trial_that_no_process_claimed_is_withdrawn(tmp_path: Path) -> None:
    queue, budget = queue_in(tmp_path, plan_of(CONTINUOUS), "sqlite"), Budget(1)
    queue.study.ask(CONTINUOUS.distributions)  # a process was killed at this point
    finish(queue, queue.take(budget))
    assert states(queue) == ["FAIL", "COMPLETE"]


def test_the_time_budget_counts_the_training_time_of_all_trials(tmp_path: Path) -> None:
    queue, budget = queue_in(tmp_path, plan_of(CONTINUOUS)), Budget(100, seconds=25)
    for _ in range(3):  # 10 s each
        finish(queue, queue.take(budget))
    assert queue.take(budget) is None
    assert queue.is_complete(budget)


@pytest.mark.parametrize(("share", "expected"), [(0.25, True), (0.0, False)])
def test_the_worst_share_is_stopped_early(tmp_path: Path, share: float, expected: bool) -> None:
    queue, budget = queue_in(tmp_path, plan_of(CONTINUOUS, prune=share)), Budget(10)
    for number in range(4):
        taken = queue.take(budget)
        assert taken is not None
        assert not queue.report(taken, 100, 0.5 + number / 10)
        finish(queue, taken)
    for value, is_worst in ((0.3, expected), (0.65, False)):
        taken = queue.take(budget)
        assert taken is not None
        assert queue.report(taken, 100, value) == is_worst
        finish(queue, taken, None if is_worst else value)


def test_the_first_settings_cover_the_range_evenly(tmp_path: Path) -> None:
    """Of 8 draws, each quarter of the range has one to three, which random numbers often miss."""
    for seed in range(3):
        queue = queue_in(tmp_path / str(seed), plan_of(CONTINUOUS, num_spread=8, seed=seed))
        drawn = [finish(queue, queue.take(Budget(8)))["train.lr"] for _ in range(8)]
        quarters = [int(4 * math.log(lr / 1e-5) / math.log(100)) for lr in drawn]
        assert max(map(quarters.count, range(4))) <= 3
        assert min(map(quarters.count, range(4))) >= 1


def test_the_same_seed_draws_the_same_settings(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        queue = queue_in(tmp_path / name, plan_of(CONTINUOUS, seed=seed))
        drawn.append([finish(queue, queue.take(Budget(3))) for _ in range(3)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_optuna_is_not_left_silent(tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    queue = queue_in(tmp_path, plan_of(CONTINUOUS))
    finish(queue, queue.take(Budget(1)))
    assert optuna.logging.get_verbosity() == before
