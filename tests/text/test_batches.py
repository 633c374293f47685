"""The examples of a step depend only on the seed, and every one is in exactly one micro-batch."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertune.text.batches import micro_batches, slices, step_examples, steps_per_epoch

quick = settings(max_examples=80, deadline=None, derandomize=True, database=None)
lengths_of_a_step = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def epochs(num_examples: int, batch_size: int, seed: int, count: int) -> list[list[int]]:
    per_epoch = steps_per_epoch(num_examples, batch_size)
    steps = list(islice(step_examples(num_examples, batch_size, seed), per_epoch * count))
    return [
        np.concatenate(steps[i * per_epoch : (i + 1) * per_epoch]).tolist()
        for i in range(count)
    ]  # fmt: skip


@quick
@given(lengths_of_a_step, st.integers(1, 200))
def test_micro_batches_contain_every_position_once(lengths: list[int], max_tokens: int) -> None:
    positions = np.concatenate(list(micro_batches(lengths, max_tokens)))
    assert sorted(positions.tolist()) == list(range(len(lengths)))


@quick
@given(lengths_of_a_step, st.integers(1, 200))
def test_no_micro_batch_exceeds_the_budget_except_for_a_single_long_text(
    lengths: list[int], max_tokens: int
) -> None:
    for positions in micro_batches(lengths, max_tokens):
        padded = len(positions) * max(lengths[i] for i in positions)
        assert padded <= max_tokens or len(positions) == 1


@quick
@given(lengths_of_a_step, st.integers(1, 200))
def test_the_number_of_micro_batches_is_minimal(lengths: list[int], max_tokens: int) -> None:
    batches = list(micro_batches(lengths, max_tokens))
    for positions, following in pairwise(batches):
        widest = max(lengths[i] for i in positions)
        assert (len(positions) + 1) * widest > max_tokens, f"{following[0]} had room in {positions}"


@quick
@given(lengths_of_a_step)
def test_texts_of_similar_length_share_a_micro_batch(lengths: list[int]) -> None:
    order = [lengths[i] for positions in micro_batches(lengths, 100) for i in positions]
    assert order == sorted(lengths, reverse=True)


def test_a_step_without_texts_has_no_micro_batches() -> None:
    assert list(micro_batches([], 10)) == []


@pytest.mark.parametrize(("num_examples", "batch_size"), [(1, 1), (13, 4), (16, 4), (7, 32)])
def test_every_epoch_sees_every_example_once(num_examples: int, batch_size: int) -> None:
    for epoch in epochs(num_examples, batch_size, seed=3, count=4):
        assert sorted(epoch) == list(range(num_examples))


@pytest.mark.parametrize(("num_examples", "batch_size", "sizes"), [(13, 4, [4, 4, 4, 1]), (16, 4, [4] * 4)])
def test_only_the_last_step_of_an_epoch_may_be_smaller(
    num_examples: int, batch_size: int, sizes: list[int]
) -> None:
    steps = islice(step_examples(num_examples, batch_size, 0), 2 * len(sizes))
    assert [len(step) for step in steps] == sizes * 2


def test_every_epoch_has_a_different_order() -> None:
    orders = epochs(50, 8, seed=3, count=5)
    assert len({tuple(order) for order in orders}) == 5


def test_the_order_depends_only_on_the_seed() -> None:
    first = epochs(50, 8, seed=3, count=3)
    np.random.seed(99)
    np.random.rand(10)
    assert epochs(50, 8, seed=3, count=3) == first
    assert epochs(50, 8, seed=4, count=3) != first


def test_the_batch_size_cuts_the_same_order() -> None:
    assert epochs(50, 8, seed=3, count=2) == epochs(50, 50, seed=3, count=2)


@pytest.mark.parametrize("first_step", range(12))
def test_starting_at_a_later_step_skips_exactly_the_steps_before(first_step: int) -> None:
    whole = [step.tolist() for step in islice(step_examples(19, 4, 7), 20)]
    rest = [step.tolist() for step in islice(step_examples(19, 4, 7, first_step), 20 - first_step)]
    assert rest == whole[first_step:]


@quick
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)), min_size=1, max_size=40), st.integers(1, 200)
)
def test_the_sequences_of_an_example_share_a_micro_batch(
    drawn: list[tuple[int, int]], max_tokens: int
) -> None:
    lengths, groups = [n for n, _ in drawn], [g for _, g in drawn]
    batches = [positions.tolist() for positions in micro_batches(lengths, max_tokens, groups)]
    assert sorted(i for positions in batches for i in positions) == list(range(len(lengths)))
    owners = [{groups[i] for i in positions} for positions in batches]
    assert sum(map(len, owners)) == len(set(groups)), "a group is in one micro-batch only"
    for positions, own in zip(batches, owners, strict=True):
        sizes = [lengths[i] for i in positions]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) * max(sizes) <= max_tokens or len(own) == 1


@quick
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 200))
def test_slices_contain_everything_in_order_within_the_token_limit(
    lengths: list[int], max_tokens: int
) -> None:
    lengths = sorted(lengths, reverse=True)
    pieces = [lengths[piece] for piece in slices(lengths, max_tokens)]
    assert [length for piece in pieces for length in piece] == lengths
    assert all(len(piece) * piece[0] <= max_tokens or len(piece) == 1 for piece in pieces)
