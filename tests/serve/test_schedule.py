"""The order in which waiting sequences are computed, as a pure function of lengths and arrival times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertune.serve.schedule import MOST_DELAY, SLACK, Costs, Schedule

PADDED = Costs(tokens_per_second=1000, call_tokens=16, pads=True)
PACKED = Costs(tokens_per_second=1000, call_tokens=16, pads=False)


def batches(schedule: Schedule) -> list[list[tuple[str, int]]]:
    """All batches until nothing waits: the request and the length of each sequence."""
    found = []
    while started := schedule.next_batches(1):
        found += [[(item.request, item.length) for item in batch] for batch in started]
    return found


def test_an_idle_model_computes_a_sequence_at_once() -> None:
    schedule = Schedule(512, PADDED)
    schedule.add("a", [7], 0.0)
    assert batches(schedule) == [[("a", 7)]]
    assert batches(schedule) == []


def test_equal_lengths_share_batches_up_to_the_budget() -> None:
    schedule = Schedule(100, PADDED)
    for number in range(11):
        schedule.add(str(number), [10], 0.001 * number)
    found = batches(schedule)
    assert [len(batch) for batch in found] == [10, 1]
    assert found[0][0] == ("0", 10)


def test_two_concurrent_batches_share_the_queue() -> None:
    schedule = Schedule(512, PADDED, calls=2)
    for number in range(7):
        schedule.add(str(number), [10], 0.001 * number)
    assert [len(batch) for batch in batches(schedule)] == [3, 2, 1, 1]


@pytest.mark.parametrize(
    ("texts", "idle", "expected"),
    [
        (8, 4, [2, 2, 2, 2]),
        (9, 4, [2, 2, 2, 3]),
        (3, 4, [1, 1, 1]),
        (8, 2, [4, 4]),
        (8, 1, [2]),
        (60, 2, [20] * 2),
    ],
)
def test_idle_calls_share_the_waiting_sequences_equally(texts: int, idle: int, expected: list[int]) -> None:
    schedule = Schedule(200, PADDED, calls=4)
    schedule.add("a", [10] * texts, 0.0)
    assert [len(batch) for batch in schedule.next_batches(idle)] == expected
    assert schedule.sequences == texts - sum(expected)


def test_a_short_text_overtakes_a_long_one_that_came_just_before() -> None:
    schedule = Schedule(512, PADDED)
    schedule.add("long", [500], 0.0)
    schedule.add("short", [8], 0.01)
    assert batches(schedule) == [[("short", 8)], [("long", 500)]]


def test_a_small_request_overtakes_the_rest_of_a_large_one() -> None:
    schedule = Schedule(64, PADDED)
    schedule.add("large", [8] * 100, 0.0)
    schedule.add("small", [8], 0.05)
    order = [request for batch in batches(schedule) for request, _ in batch]
    assert order.index("small") < 24  # within three batches of eight, not after one hundred


def test_only_texts_that_came_before_its_deadline_overtake_a_long_text() -> None:
    schedule = Schedule(64, PADDED)
    schedule.add("long", [500], 0.0)
    now, computed = 0.0, []
    while "long" not in computed:  # twice as many short texts arrive as can be computed
        for _ in range(16):
            schedule.add(f"{now:.3f}", [8], now)
        computed += [item.request for batch in schedule.next_batches(1) for item in batch]
        now += 0.064
    computed.remove("long")
    assert 0 < max(map(float, computed)) <= SLACK * 500 / 1000


def test_padding_is_accepted_only_where_a_call_would_cost_more() -> None:
    schedule = Schedule(1000, PADDED)
    schedule.add("a", [10], 0.0)
    schedule.add("b", [20], 0.001)  # 10 tokens of padding, fewer than the 16 that a call costs
    schedule.add("c", [100], 0.002)
    assert batches(schedule) == [[("a", 10), ("b", 20)], [("c", 100)]]


def test_without_padding_similar_lengths_share_a_batch() -> None:
    texts = [("a", 60), ("b", 100), ("c", 80)]
    for costs, expected in ((PACKED, 1), (PADDED, 3)):
        schedule = Schedule(1000, costs)
        for name, length in texts:
            schedule.add(name, [length], 0.0)
        assert len(batches(schedule)) == expected


def test_a_text_longer_than_the_budget_is_computed_alone() -> None:
    schedule = Schedule(64, PADDED)
    schedule.add("a", [200, 200], 0.0)
    assert batches(schedule) == [[("a", 200)], [("a", 200)]]


def test_removed_sequences_are_not_computed_and_do_not_count() -> None:
    schedule = Schedule(64, PADDED)
    gone = schedule.add("gone", [8, 9, 10], 0.0)
    schedule.add("kept", [9], 0.0)
    schedule.remove(gone)
    schedule.remove(gone)
    assert (schedule.sequences, schedule.tokens) == (1, 9)
    assert batches(schedule) == [[("kept", 9)]]
    assert (schedule.sequences, schedule.tokens) == (0, 0)


requests = st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=12), min_size=1, max_size=12)


@given(requests, st.integers(1, 400), st.booleans())
def test_everything_is_computed_once_within_the_budget(
    lengths: list[list[int]], budget: int, pads: bool
) -> None:
    costs = PADDED if pads else PACKED
    schedule = Schedule(budget, costs)
    for number, request in enumerate(lengths):
        schedule.add(str(number), request, 0.01 * number)
    assert schedule.tokens == sum(map(sum, lengths))
    found = batches(schedule)
    expected = sorted((str(number), length) for number, request in enumerate(lengths) for length in request)
    assert sorted(item for batch in found for item in batch) == expected
    for batch in found:
        sizes = [length for _, length in batch]
        used = len(sizes) * max(sizes) if pads else sum(sizes)
        assert len(batch) == 1 or used <= budget
    assert (schedule.tokens, schedule.sequences) == (0, 0)


@given(requests)
def test_deadlines_are_between_arrival_and_the_longest_delay(lengths: list[list[int]]) -> None:
    schedule = Schedule(64, PADDED)
    for number, request in enumerate(lengths):
        for waiting in schedule.add("x", request, 5.0 * number):
            assert 5.0 * number < waiting.deadline <= 5.0 * number + MOST_DELAY
