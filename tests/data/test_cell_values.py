"""Lists and objects in cells, in every form that tables are written with."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bertune.data.cell_values import UnreadableCellError, cell_value, plain, read_written
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SQUAD = {"text": np.array(["it's", "x"], dtype=object), "answer_start": np.array([5, 9], dtype=np.int32)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (("a", 2), ["a", 2]),
        ({"a"}, ["a"]),
        (set(), []),
        (frozenset({"a"}), ["a"]),
        (frozenset(), []),
        (np.array(["a b", "it's", "[c] ..."], dtype=object), ["a b", "it's", "[c] ..."]),
        (np.array([0, 0, 1]), [0, 0, 1]),
        (np.array([0.0, 1.0]), [0.0, 1.0]),
        (np.array([True, False]), [True, False]),
        ([np.int64(3), np.str_("x"), float("nan")], [3, "x", None]),
        (SQUAD, {"text": ["it's", "x"], "answer_start": [5, 9]}),
        ({"text": np.array([], dtype=object)}, {"text": []}),
        (np.array([{"a": 1}, {"a": 2}], dtype=object), [{"a": 1}, {"a": 2}]),
        (np.arange(200) % 2, [0, 1] * 100),
    ],
)
def test_the_repr_of_python_and_numpy_values_is_read_back(value: Any, expected: Any) -> None:
    assert read_written(str(value)) == expected or isinstance(value, tuple)
    assert read_written(f"[{value!r}]") == [expected]
    assert plain(value) == expected


def test_numpy_2_wrappers_are_removed() -> None:
    assert read_written("[np.int64(3), np.str_('x'), np.True_, numpy.float64(0.5)]") == [3, "x", True, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        '["a", ', "[x, y]", "[1] is a reference", "['a' 'b', 'c']", "[1+2j]", "[b'x']", "{**{'a': 1}}",
        "[__import__('os').getcwd()]", "[open('x')]", "{'a': 1, 'a': 2}", "{1: 2}", '{"a": 1, "a": 2}',
        "[" * 5000, f"[{'-' * 10**5}1]",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_no_code_is_run(text: str) -> None:
    with pytest.raises(UnreadableCellError):
        read_written(text)


def test_an_array_that_numpy_abbreviated_is_refused_with_the_remedy() -> None:
    cell = str(np.arange(2000))
    with pytest.raises(
        DataError, match=r"^a\.csv, line 7: .*abbreviated with \.\.\. .*Expected a list\. Write"
    ):
        cell_value(Row({"x": cell}, Origin("a.csv", 7)), "x", "a list")


def test_plain_text_is_unchanged_and_missing_values_are_none() -> None:
    values = [" plain", "", float("nan"), pd.NA, pd.NaT, None, 3, "(a)"]
    found = [cell_value(Row({"x": value}, Origin("a.csv", 7)), "x", "a list") for value in values]
    assert found == [" plain", "", None, None, None, None, 3, "(a)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("('a', 'b')", ["a", "b"]),
        ("(0, 0, 1)", [0, 0, 1]),
        ("array([0., 1.], dtype=float32)", [0.0, 1.0]),
        ("np.array(['a', 'b'])", ["a", "b"]),
        ("tensor([1, 0])", [1, 0]),
        ("(see below, please)", "(see below, please)"),
        ("(a)", "(a)"),
        ("array of lamps, (new)", "array of lamps, (new)"),
    ],
)
def test_tuples_and_arrays_are_lists_and_other_parentheses_are_text(text: str, expected: Any) -> None:
    row = Row({"x": text}, Origin("a.csv", 2))
    assert cell_value(row, "x", "a list") == expected
