"""Tables made from Python objects."""

import math
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bertune.data.columns import cell_text
from bertune.data.memory import table_from_lists, table_from_memory, table_of
from bertune.data.tables import Table
from bertune.errors import DataError

COLUMNS: dict[str, list[Any]] = {"text": ["great", None, "bad"], "stars": [5, 1, None]}
RECORDS: list[dict[str, Any]] = [{"text": t, "stars": s} for t, s in zip(*COLUMNS.values(), strict=True)]


class PolarsLike:
    """The part of the polars DataFrame interface that bertune uses; polars is not installed for tests."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self.columns = list(data)
        self.data = data

    def iter_rows(self) -> Any:
        return iter(zip(*self.data.values(), strict=True))


MAKERS: list[Callable[[dict[str, list[Any]]], object]] = [
    pd.DataFrame,
    pa.table,
    datasets.Dataset.from_dict,
    PolarsLike,
    dict,
    lambda columns: {name: np.array(values, dtype=object) for name, values in columns.items()},
    lambda columns: datasets.Dataset.from_dict(columns).with_format("pandas"),
    lambda columns: [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ],
]


def records(table: Table) -> list[dict[str, Any]]:
    return [dict(row.values) for row in table.rows()]


def refusal(data: object) -> str:
    with pytest.raises(DataError) as caught:
        for _ in table_from_memory(data).rows():
            pass
    return str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_every_kind_of_table_gives_the_same_rows_on_every_pass(make: Callable[[Any], object]) -> None:
    table = table_from_memory(make(COLUMNS))
    assert (table.name, table.columns, table.has_header) == ("<memory>", ("text", "stars"), True)
    assert records(table) == RECORDS == records(table)
    assert [str(row.origin) for row in table.rows()] == [f"<memory>, line {n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("make", MAKERS)
def test_integers_with_missing_values_are_read_as_integers(make: Callable[[Any], object]) -> None:
    table = table_from_memory(make(COLUMNS), name="frame")
    assert [cell_text(row, "stars") for row in table.rows()] == ["5", "1", ""]
    assert str(next(table.rows()).origin) == "frame, line 1"


def test_every_missing_value_of_pandas_becomes_none() -> None:
    frame = pd.DataFrame(
        {
            "text": pd.array(["a", pd.NA], dtype="string"),
            "when": pd.to_datetime(["2020-01-01", None]),
            "count": pd.array([1, None], dtype="Int64"),
            "share": [0.5, math.nan],
            "kind": pd.Categorical(["x", None]),
        }
    )
    first, second = records(table_from_memory(frame))
    assert set(second.values()) == {None}
    assert first["count"] == 1 and first["kind"] == "x"


def test_numpy_scalars_and_arrays_become_plain_python_values() -> None:
    rows = [{"text": np.str_("a"), "label": np.int64(3), "tags": np.array([1, 2])}]
    (values,) = records(table_from_memory(rows))
    assert values == {"text": "a", "label": 3, "tags": [1, 2]} and type(values["label"]) is int


def test_column_numbers_become_names() -> None:
    assert table_from_memory(pd.DataFrame([["a", 1]])).columns == ("0", "1")
    assert records(table_from_memory([{0: "a"}])) == [{"0": "a"}]


def test_class_numbers_of_a_dataset_become_their_names() -> None:
    names = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": names, "all": datasets.Sequence(names)}
    )
    data = {"text": ["a", "b", "c"], "label": [1, 0, -1], "all": [[0, 1], [], [1]]}
    dataset = datasets.Dataset.from_dict(data, features=features)
    for form in (None, "numpy"):
        values = records(table_from_memory(dataset.with_format(form)))
        assert [v["label"] for v in values] == ["pos", "neg", None]
        assert [v["all"] for v in values] == [["neg", "pos"], [], ["pos"]]


@pytest.mark.parametrize("data", [7, "text", {"text": "a"}, ["a", "b"], [], None, [{"text": "a"}, "b"]])
def test_anything_else_is_refused_with_its_type_and_what_is_accepted(data: object) -> None:
    message = refusal(data)
    assert "pandas or polars DataFrame" in message and "Hugging Face Dataset" in message
    seen = (
        "got a str" if isinstance(data, list) and data else str(data) if data is None else type(data).__name__
    )
    assert seen in message


def test_several_splits_at_once_are_refused() -> None:
    split = datasets.Dataset.from_dict(COLUMNS)
    message = refusal(datasets.DatasetDict({"train": split, "test": split}))
    assert "DatasetDict" in message and '"train", "test"' in message


@pytest.mark.parametrize("make", MAKERS[:4])
def test_a_table_without_rows_is_refused(make: Callable[[Any], object]) -> None:
    assert "has no rows" in refusal(make({"text": []}))


def test_columns_with_one_name_are_refused() -> None:
    message = refusal(pd.DataFrame([["a", "b"]], columns=["text", "text"]))
    assert 'columns 0 and 1 are both named "text"' in message


def test_texts_and_labels_make_a_table() -> None:
    table = table_from_lists(["great", "bad"], np.array([1, 0]))
    assert table.columns == ("text", "label")
    assert records(table) == [{"text": "great", "label": 1}, {"text": "bad", "label": 0}] == records(table)
    assert table_from_lists(pd.Series(["a", "b"], index=[5, 6]), None).columns == ("text",)


def test_pairs_of_texts_make_a_table() -> None:
    table = table_from_lists([("why", "because"), ("who", "me")], ["yes", None])
    assert table.columns == ("text_a", "text_b", "label")
    assert records(table)[1] == {"text_a": "who", "text_b": "me", "label": None}


@pytest.mark.parametrize(
    ("texts", "labels", "parts"),
    [
        (["a", "b"], [1], ["2 texts but 1 label", "one label for each text"]),
        ([], None, ["list of texts", "got an empty list"]),
        ("one text", None, ["list of texts", "got a single text"]),
        (["a", ("b", "c")], None, ["row 2", "expected a text", "('b', 'c')"]),
        ([("a", "b"), "c"], None, ["row 2", "expected a pair of texts", "'c'"]),
        ([("a", "b"), ("c",)], None, ["row 2", "expected a pair of texts"]),
        ([3], None, ["row 1", "3"]),
    ],
)
def test_lists_that_do_not_fit_are_refused(texts: Any, labels: Any, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        table_from_lists(texts, labels)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "make", [pd.Series, np.array, pa.array, tuple, lambda x: datasets.Dataset.from_dict({"x": x})["x"]]
)
def test_texts_and_labels_can_be_columns_of_any_library(make: Callable[[Any], object]) -> None:
    table = table_of((make(["great", "bad"]), make(["a", "b"])))
    assert records(table) == [{"text": "great", "label": "a"}, {"text": "bad", "label": "b"}]
    assert records(table_of(make(["great"]))) == [{"text": "great"}]


def test_a_dict_that_is_not_a_table_is_refused() -> None:
    assert refusal({"a": ["x", "y"], "b": ["x"]}) == (
        'the columns of the dict differ in length: "a" has 2, "b" has 1. Pass lists of the same length'
    )
    assert refusal({"a": "x"}).startswith("expected a table, got {'a': 'x'} (dict)")
