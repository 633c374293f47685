"""Jobs: storing and reading, selection of texts, and the timed period of a Trainer that groups by length."""

import random
from pathlib import Path
from typing import Any

import pytest
from transformers.trainer_pt_utils import get_length_grouped_indices

from bertune.bench.clock import StepClock
from bertune.bench.floor import Load
from bertune.bench.job import Item, Job, plan_epochs, read_items, spread, write_items


def job(**values: Any) -> Job:
    plain = {"num_texts": 100, "num_columns": 1, "labels": ("a", "b"), "max_length": 9}
    return Job("m", "t", "h", **{**plain, **values})


def test_a_job_round_trips(tmp_path: Path) -> None:
    made = job(settings={"machine": {"threads": 2}}, freeze="encoder")
    made.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == made
    assert not {"model", "texts", "held_out", "settings"} & set(made.facts())


def test_texts_with_any_characters_round_trip(tmp_path: Path) -> None:
    pairs: list[Item] = [(("a\u2028b", 'c "d"\n'), "x"), (("评论", ""), "y")]
    write_items(tmp_path / "texts.jsonl", pairs)
    assert read_items(tmp_path / "texts.jsonl", 2) == pairs


def test_texts_are_selected_evenly_and_every_label_is_included() -> None:
    items: list[Item] = [((str(i),), "a" if i < 990 else "b" if i < 999 else "c") for i in range(1000)]
    chosen = spread(items, 10)
    assert chosen[0] == items[0] and items[-1] in chosen
    assert {label for _, label in chosen} == {"a", "b", "c"}
    assert len(chosen) <= 12
    assert spread(items, 2000) == items


def test_the_plan_is_long_enough_to_be_timed() -> None:
    assert plan_epochs(8551, 32) == 3
    assert plan_epochs(61, 8) * 8 >= 200


@pytest.mark.parametrize(("num_texts", "batch_size"), [(8551, 32), (1600, 16), (130, 8), (20, 8)])
def test_the_period_is_one_cycle_of_the_trainers_length_grouped_sampler(
    num_texts: int, batch_size: int
) -> None:
    draw = random.Random(1)
    lengths = [draw.randint(3, 300) for _ in range(num_texts)]
    order = get_length_grouped_indices(lengths, batch_size)
    turn = job(num_texts=num_texts, batch_size=batch_size).period * batch_size
    for start in range(0, num_texts, turn):
        # Within a cycle, lengths decrease, except that the longest text of all comes first.
        inside = [lengths[i] for i in order[start : start + turn]][1:]
        assert inside == sorted(inside, reverse=True)


def test_the_clock_excludes_the_warm_up_and_ends_with_a_complete_cycle() -> None:
    clock = StepClock(job(seconds=0.0), warmup=2, period=3)
    ticks = 0
    while not clock.is_done:
        clock.tick()
        ticks += 1
    assert (ticks, clock.first, clock.steps) == (5, 2, 3)
    loads = [(Load.of([n]), Load.of([10])) for n in range(1, 8)]
    found = clock.result(loads, extra=1)
    assert found["load"] == {"sequences": 3, "tokens": 3 + 4 + 5, "squares": 9 + 16 + 25}
    assert found["padded_load"]["tokens"] == 30 and found["extra"] == 1


def test_a_job_timed_as_a_whole_counts_every_step_and_does_not_stop_early() -> None:
    clock = StepClock(job(seconds=0.0, is_whole=True))
    for _ in range(7):
        clock.tick()
    assert (clock.first, clock.steps, clock.is_done) == (0, 7, False)


def test_a_run_shorter_than_the_warm_up_is_an_error() -> None:
    clock = StepClock(job())
    clock.tick()
    with pytest.raises(RuntimeError, match="warm-up"):
        clock.result([])
