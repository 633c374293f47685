"""The warning about a validation split that is much larger than requested."""

import pytest

from bertune.data.split import larger_than_asked


@pytest.mark.parametrize(
    ("num_rows", "num_held_out", "share", "num_labels"),
    [
        (10_000, 1_000, 0.1, 5),
        (10_000, 1_400, 0.1, 500),  # rounded up for each label
        (20, 8, 0.1, 8),  # few rows: one row per label is a large share
        (4, 2, 0.1, 2),
    ],
)
def test_a_split_of_about_the_requested_size_gives_no_warning(
    num_rows: int, num_held_out: int, share: float, num_labels: int
) -> None:
    assert larger_than_asked(num_rows, num_held_out, share, num_labels) is None


def test_the_warning_names_the_number_of_labels_as_the_reason() -> None:
    assert larger_than_asked(10_000, 5_000, 0.1, 5_000) == (
        "data.validation_fraction=0.1 requests 1,000 of 10,000 rows, but each of the 5,000 labels needs at "
        "least one validation row: the validation split has 5,000 rows (50.0%). Set data.validation to a "
        "file, or merge rare labels"
    )


def test_the_warning_names_groups_of_rows_as_the_reason() -> None:
    found = larger_than_asked(101, 99, 0.1, 0)
    assert found is not None
    assert "rows of the same group stay together: the validation split has 99 rows (98.0%)" in found
