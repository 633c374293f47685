"""The layout gives every token a unique position, in consecutive groups."""

import pytest
import torch
from families import EQUAL_LENGTHS, SEVERAL_GROUPS
from hypothesis import given
from hypothesis import strategies as st

from bertune.nn.layout import Layout, layout

LENGTHS = st.lists(st.integers(1, 60) | st.integers(1, 300), min_size=1, max_size=70)
CACHED_SCORES = 2**15  # with one head: longer sequences are alone in their groups


def made(lengths: list[int] | tuple[int, ...]) -> Layout:
    return layout(torch.tensor(lengths), torch.device("cpu"), torch.float32)


@given(LENGTHS)
def test_every_token_has_its_sequence_and_position(lengths: list[int]) -> None:
    found = made(lengths)
    expected = [place for length in lengths for place in range(length)]
    assert found.positions_T.tolist() == expected
    assert found.num_tokens == sum(lengths) <= found.num_rows
    assert found.starts_B.tolist() == [sum(lengths[:i]) for i in range(len(lengths))]
    assert found.lengths_B.tolist() == lengths


@given(LENGTHS)
def test_groups_cover_all_sequences_and_tokens_in_order(lengths: list[int]) -> None:
    groups = made(lengths).groups
    sequences = [i for g in groups for i in range(g.sequences.start, g.sequences.stop)]
    tokens = [t for g in groups for t in range(g.tokens.start, g.tokens.stop)]
    assert sequences == list(range(len(lengths)))
    assert tokens == list(range(sum(lengths)))
    for group in groups:
        assert group.num_sequences == len(lengths[group.sequences]) <= group.num_rows
        assert group.tokens.stop - group.tokens.start == sum(lengths[group.sequences])


@given(LENGTHS)
def test_every_token_of_a_group_has_the_slot_of_its_sequence_and_position(lengths: list[int]) -> None:
    for group in made(lengths).groups:
        own = lengths[group.sequences]
        slots = torch.arange(sum(own)) if group.slots is None else group.slots
        places = [(row, place) for row, length in enumerate(own) for place in range(length)]
        assert slots.tolist() == [row * group.longest + place for row, place in places]
        if group.slots is None:
            assert sum(own) == group.num_rows * group.longest, "a view without padding is full"


@given(LENGTHS)
def test_the_bias_masks_exactly_the_padding(lengths: list[int]) -> None:
    for group in made(lengths).groups:
        if group.bias is None:
            continue
        assert group.bias.shape == (group.num_rows, 1, 1, group.longest)
        for row, length in enumerate(lengths[group.sequences]):
            shares_L = torch.softmax(group.bias[row, 0, 0], 0)
            torch.testing.assert_close(shares_L[:length], torch.full((length,), 1 / length))
            assert shares_L[length:].eq(0).all()
        assert torch.softmax(group.bias, -1).isfinite().all(), "rows without a sequence stay finite"


@given(LENGTHS)
def test_the_scores_of_a_group_fit_in_the_cache(lengths: list[int]) -> None:
    for group in made(lengths).groups:
        assert group.longest >= max(lengths[group.sequences])
        if group.num_sequences > 1:
            assert group.num_rows * group.longest**2 <= CACHED_SCORES


def test_all_sizes_up_to_4096_are_rounded_to_few_values() -> None:
    rounded = [made([size]).num_rows for size in range(1, 4097)]
    assert rounded == sorted(rounded)
    assert len(set(rounded)) <= 100
    for size, found in enumerate(rounded, 1):
        assert size <= found <= max(size + 7, size * 1.125)


def test_equal_lengths_without_gaps_are_not_padded() -> None:
    (group,) = made([16] * 8).groups
    assert group.slots is None
    assert group.bias is None


@pytest.mark.parametrize(
    ("lengths", "num_groups"),
    [(EQUAL_LENGTHS, 1), (SEVERAL_GROUPS, 3), ((300, 200, 9), 3), ((1,), 1)],
    ids=str,
)
def test_the_test_lengths_give_the_expected_number_of_groups(
    lengths: tuple[int, ...], num_groups: int
) -> None:
    assert len(made(lengths).groups) == num_groups


def test_the_test_lengths_of_several_groups_leave_padding_rows() -> None:
    assert any(group.num_rows > group.num_sequences for group in made(SEVERAL_GROUPS).groups)
