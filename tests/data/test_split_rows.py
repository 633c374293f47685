"""Splits of rows: in whole groups, stratified by one or several labels, and by time."""

import random
from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import KFold

from bertune.data.rows import Origin
from bertune.data.split import Splittable, consecutive, hold_out, joined
from bertune.data.stratification import stratified_iteratively
from bertune.errors import DataError

SHARES = {"validation": 0.1, "test": 0.2}


def rows_of(
    labels: list[tuple[str, ...]],
    units: list[int] | None = None,
    times: list[float] | None = None,
    has_several: bool = False,
) -> Splittable:
    origins = [Origin("rows.csv", line) for line in range(2, len(labels) + 2)]
    return Splittable(origins, units or list(range(len(labels))), labels, times, has_several)


def test_rows_that_share_a_value_of_any_key_are_joined() -> None:
    assert joined(["a", "b", None, "a", None], [1, 2, 2, 3, None]) == [0, 1, 1, 0, 2]
    assert joined(["a", "b", "c"], [1, 2, 1], ["x", "y", "y"]) == [0, 0, 0]


def test_each_label_has_its_share_in_every_split() -> None:
    labels = [("common",)] * 80 + [("rare",)] * 20
    found = hold_out(rows_of(labels), SHARES, seed=1)
    assert sorted(row for split in found.values() for row in split) == list(range(100))
    for split, expected in {"validation": (8, 2), "test": (16, 4), "train": (56, 14)}.items():
        counts = Counter(labels[row][0] for row in found[split])
        assert (counts["common"], counts["rare"]) == expected
    assert hold_out(rows_of(labels), SHARES, seed=1) == found
    assert hold_out(rows_of(labels), SHARES, seed=2) != found


def test_the_test_fraction_does_not_change_the_validation_rows() -> None:
    rows = rows_of([(str(i % 3),) for i in range(90)])
    alone = hold_out(rows, {"validation": 0.1}, seed=5)
    assert hold_out(rows, SHARES, seed=5)["validation"] == alone["validation"]


def test_groups_with_different_labels_stay_together_and_keep_the_shares() -> None:
    draw = random.Random(0)
    units = sorted(draw.randrange(60) for _ in range(600))
    units = joined(units)
    labels = [("yes",) if draw.random() < 0.2 else ("no",) for _ in units]
    found = hold_out(rows_of(labels, units), SHARES, seed=3)
    sides = [{units[row] for row in split} for split in found.values()]
    assert sum(map(len, sides)) == len(set(units)), "a group is in two splits"
    for split, share in SHARES.items():
        assert len(found[split]) == pytest.approx(share * 600, abs=12)
        positive = sum(labels[row] == ("yes",) for row in found[split])
        assert positive == pytest.approx(share * labels.count(("yes",)), abs=5)


def test_labels_of_multi_label_rows_are_balanced_better_than_at_random() -> None:
    draw = random.Random(0)
    names = [f"label{i}" for i in range(12)]
    labels = [tuple(n for i, n in enumerate(names) if draw.random() < 0.25 / (i + 1)) for _ in range(1000)]
    totals = Counter(label for row in labels for label in row)

    def distance(folds: list[int]) -> float:
        counts = Counter((fold, label) for fold, row in zip(folds, labels, strict=True) for label in row)
        return sum(abs(counts[fold, label] - totals[label] / 5) for fold in range(5) for label in totals)

    stratified = stratified_iteratively([1] * 1000, labels, [0.2] * 5, np.random.default_rng(0))
    at_random = [0] * 1000
    for number, (_, test) in enumerate(KFold(5, shuffle=True, random_state=0).split(labels)):
        for row in test:
            at_random[row] = number
    assert distance(stratified) < 0.2 * distance(at_random)
    assert set(Counter(stratified).values()) <= {199, 200, 201}


def test_a_label_of_a_single_multi_label_row_is_used_for_training() -> None:
    labels = [("a",)] * 30 + [("b",)] * 30 + [("once",)]
    found = hold_out(rows_of(labels, has_several=True), SHARES, seed=0)
    assert 60 in found["train"]


def test_splits_by_time_follow_each_other_and_do_not_divide_equal_times() -> None:
    draw = random.Random(0)
    times = [float(draw.randrange(40)) for _ in range(400)]
    found = hold_out(rows_of([()] * 400, times=times), SHARES, seed=0)
    latest = [max(times[row] for row in found[split]) for split in ("train", "validation", "test")]
    first = [min(times[row] for row in found[split]) for split in ("train", "validation", "test")]
    assert latest[0] < first[1] <= latest[1] < first[2]
    assert len(found["test"]) == pytest.approx(80, abs=10)
    assert len(found["validation"]) == pytest.approx(40, abs=10)


def test_groups_are_not_divided_by_time() -> None:
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    units = [0, 1, 1, 2, 1, 3]  # unit 1 lasts from 1 to 4, so unit 2 is joined to it
    assert consecutive(rows_of([()] * 6, units, times), [1, 5]) == [[0], [1, 2, 4, 3], [5]]


@pytest.mark.parametrize(
    ("times", "units", "message"),
    [
        ([1.0, 1.0, 2.0], [0, 1, 2], r"rows\.csv: .* only 2 parts .* 3 are needed: rows with equal times"),
        ([1.0, 2.0, 3.0], [0, 1, 0], r"rows\.csv, line 2, and rows\.csv, line 4, .* in one group"),
    ],
)
def test_too_few_places_to_cut_are_explained(times: list[float], units: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        hold_out(rows_of([()] * 3, units, times), SHARES, seed=0)


def test_a_label_with_too_few_rows_for_three_splits_is_named_with_its_line() -> None:
    labels = [("good",)] * 9 + [("odd",)] * 2
    with pytest.raises(
        DataError, match=r'line 11: the label "odd" occurs in only 2 rows .* all three splits'
    ):
        hold_out(rows_of(labels), SHARES, seed=0)
    assert {9, 10} <= set(hold_out(rows_of(labels), SHARES, seed=0, is_strict=False)["train"])
