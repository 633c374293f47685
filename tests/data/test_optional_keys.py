"""Objects with different keys in different rows, and nested values, named by a dotted path."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from bertune import api
from bertune.config import DataConfig
from bertune.data.columns import ColumnNames, Columns, cell_text, choose_columns, read_texts
from bertune.data.memory import table_from_memory
from bertune.data.rows import NestedValues, Origin, Row
from bertune.data.tables import Table, open_lines, open_table
from bertune.errors import DataError


def written(path: Path, *objects: object) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(objects), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(item) + "\n" for item in objects), encoding="utf-8")
    return path


def opened(path: Path, *objects: object) -> Table:
    return open_table(written(path, *objects), DataConfig(), ("text", "label"))


def chosen(table: Table, **options: object) -> Columns:
    names = ColumnNames((("text",),), ("label",))
    return choose_columns(table, DataConfig.model_validate(options), names, need_label=True)[0]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_absent_key_is_null_wherever_it_is_absent(tmp_path: Path, name: str) -> None:
    table = opened(
        tmp_path / name, {"text": "a"}, {"text": "b", "label": 1}, {"note": "x", "text": "c", "label": 0}
    )
    assert table.columns == ("text", "label", "note")
    assert [dict(row.values) for row in table.rows()] == [
        {"text": "a", "label": None, "note": None},
        {"text": "b", "label": 1, "note": None},
        {"text": "c", "label": 0, "note": "x"},
    ]
    assert chosen(table) == Columns(("text",), "label", None), "also where the first row has no label"


def test_an_object_without_keys_is_a_row_without_values(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.jsonl", {"text": "a"}, {}, {"text": "b"})
    assert [row.values["text"] for row in table.rows()] == ["a", None, "b"]
    memory = table_from_memory([{"text": "a"}, {}])
    assert [row.values["text"] for row in memory.rows()] == ["a", None]


def test_dicts_from_python_can_have_different_keys() -> None:
    table = table_from_memory([{"text": "a"}, {"text": "b", "label": 1}])
    assert table.columns == ("text", "label")
    assert [row.values["label"] for row in table.rows()] == [None, 1]


def test_a_stream_takes_its_columns_from_the_first_object_and_keeps_later_keys() -> None:
    table = open_lines(
        io.StringIO('{"text": "a", "n": 1}\n{"text": "b", "extra": 2}\n'), "<stdin>", ("text",)
    )
    assert table.columns == ("text", "n")
    assert [dict(row.values) for row in table.rows()] == [
        {"text": "a", "n": 1},
        {"text": "b", "n": None, "extra": 2},
    ]


def test_a_row_without_the_text_is_refused_with_a_similar_key(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.jsonl", {"text": "a", "label": 1}, {"txet": "b", "label": 0})
    columns = chosen(table)
    first, second = table.rows()
    assert read_texts(first, columns) == ("a",)
    with pytest.raises(DataError, match=r'a\.jsonl, line 2: the text .* is empty\. Did you mean "txet"\?'):
        read_texts(second, columns)


def test_rows_before_a_broken_line_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "label": 1}\nbroken\n')
    table = open_table(path, DataConfig(), ())
    assert table.columns == ("text", "label")
    rows = table.rows()
    assert [next(rows).origin.line, next(rows).origin.line] == [1, 2]
    with pytest.raises(DataError, match="line 3"):
        next(rows)


NESTED = {"data": {"text": "so good", "id": 7}, "annotations": [{"label": "pos"}], "tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.text", "so good"),
        ("annotations.0.label", "pos"),
        ("tags.1", "y"),
        ("data.missing", None),
        ("annotations.7.label", None),
        ("tags.text", None),
    ],
)
def test_a_dotted_path_selects_values_in_objects_and_lists(path: str, value: object) -> None:
    values = NestedValues(NESTED)
    assert values[path] == values.get(path, "default") == value and path in values
    assert list(values) == list(NESTED), "the row's own columns are its keys alone"


def test_a_path_that_does_not_start_with_a_key_is_an_unknown_column() -> None:
    values = NestedValues(NESTED)
    assert "other.text" not in values and values.get("other.text", "default") == "default"
    with pytest.raises(DataError, match=r'there is no column "dato\.text"\. Available columns: data'):
        cell_text(Row(values, Origin("a.jsonl", 1)), "dato.text")


def test_an_exact_name_takes_precedence_over_a_path(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.jsonl", {"data.text": "exact", "data": {"text": "inside"}, "label": 1})
    (row,) = table.rows()
    assert cell_text(row, chosen(table, text="data.text").text[0]) == "exact"
    assert NestedValues({"a": {"b.c": 1, "b": {"c": 2}}})["a.b.c"] == 1


def test_a_misspelt_path_is_an_error_with_the_nearest_one(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.jsonl", NESTED)
    with pytest.raises(DataError, match=r'no column "data\.txt" .*Did you mean "data\.text"\?'):
        chosen(table, text="data.txt", label="annotations.0.label")
    assert chosen(table, text="DATA.text", label="annotations.0.label").text == ("data.text",)


def nested(text: str, label: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"data": {"text": text}, "id": len(text)}
    return found if label is None else {**found, "gold": {"label": label}}


def test_a_model_trained_on_paths_predicts_nested_rows_and_keeps_their_columns(
    tmp_path: Path, tiny_folder: Path
) -> None:
    train = [nested(f"{'good' if i % 2 else 'bad'} day {i}", "yes" if i % 2 else "no") for i in range(20)]
    file = written(tmp_path / "a.jsonl", *train)
    settings = {
        "data.text": "data.text",
        "data.label": "gold.label",
        "model.name": str(tiny_folder),
        "train.epochs": 1,
    }
    run = api.train(file, settings=settings, out=tmp_path / "run")
    model = api.load(run)
    new = written(tmp_path / "b.jsonl", nested("good day", None), {"id": 3}, nested("bad", None))
    out = tmp_path / "out.jsonl"
    assert model.predict_file(str(new), out).blank == 1
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [8, 3, 3]
    assert lines[0]["data"] == {"text": "good day"} and "data.text" not in lines[0]
    assert api.evaluate(model, file).num_examples == 20
    written(file, *train[:5], nested("no label here", None))
    with pytest.raises(DataError, match=r'a\.jsonl, line 6: the label in column "gold\.label" is missing'):
        api.check(file, settings=settings)
