"""A validation split much larger than asked for is said with its reason."""

import pytest

from bertune.data.split import larger_than_asked


@pytest.mark.parametrize(
    ("num_rows", "num_held_out", "share", "num_labels"),
    [
        (10_000, 1_000, 0.1, 5),
        (10_000, 1_400, 0.1, 500),  # rounded up for each label
        (20, 8, 0.1, 8),  # few rows: a row of each label is much of it
        (4, 2, 0.1, 2),
    ],
)
def test_a_split_about_as_large_as_asked_for_is_no_reason_to_warn(
    num_rows: int, num_held_out: int, share: float, num_labels: int
) -> None:
    strata = [i % num_labels for i in range(num_rows)]
    assert larger_than_asked(num_rows, num_held_out, share, strata) is None


def test_many_labels_are_named_as_the_reason() -> None:
    strata = [f"label{i % 5_000}" for i in range(10_000)]
    assert larger_than_asked(10_000, 5_000, 0.1, strata) == (
        "data.validation_fraction=0.1 asks for 1,000 of 10,000 rows, but 5,000 labels each need at least "
        "one validation row: validation has 5,000 (50.0%). Give a file as data.validation, or merge rare "
        "labels"
    )


def test_rows_that_belong_together_are_named_as_the_reason() -> None:
    found = larger_than_asked(101, 99, 0.1, [None] * 101)
    assert found is not None
    assert "rows that belong together stay on one side: validation has 99 (98.0%)" in found
