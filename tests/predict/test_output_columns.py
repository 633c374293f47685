"""Input columns are kept in every output format, whatever columns predictions add."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from bertune.errors import ConfigError, DataError, InputError
from bertune.predict.output_columns import OutputColumns
from bertune.predict.writers import (
    Line,
    csv_columns,
    is_same_file,
    refuse_out,
    refuse_prefix,
    write_file,
    write_text,
)

FIELDS = ("label", "probabilities")
PREDICTED = {"label": "good", "probabilities": {"bad": 0.25, "good": 0.75}}


def renamed(*columns: str, prefix: str = "") -> dict[str, str]:
    return OutputColumns(FIELDS, columns, prefix=prefix).renamed


def test_columns_without_a_name_conflict_keep_their_names() -> None:
    assert renamed("text", "labels", "label_given", "my.label", "probabilities_bad") == {}


def test_a_column_with_the_name_of_an_output_gets_the_first_free_name() -> None:
    assert renamed("label", "text") == {"label": "label_given"}
    assert renamed("label_given", "label") == {"label": "label_given_2"}
    assert renamed("label", "label_given", "label_given_2") == {"label": "label_given_3"}


def test_the_columns_of_an_object_in_csv_stay_together() -> None:
    assert renamed("probabilities.bad", "probabilities.good") == {
        "probabilities.bad": "probabilities_given.bad",
        "probabilities.good": "probabilities_given.good",
    }
    taken = ("probabilities_given.good", "probabilities.bad", "probabilities.good")
    assert renamed(*taken)["probabilities.bad"] == "probabilities_given_2.bad"


def test_a_prefix_renames_only_the_added_columns() -> None:
    names = OutputColumns(FIELDS, ["label"], prefix="mood_")
    assert names.added(PREDICTED) == {"mood_label": "good", "mood_probabilities": PREDICTED["probabilities"]}
    assert names.added(None) == {"mood_label": None, "mood_probabilities": None}
    assert names.given({"label": 1}) == {"label": 1}
    assert renamed("mood_label", prefix="mood_") == {"mood_label": "mood_label_given"}


def test_a_later_column_does_not_get_a_name_that_is_in_use() -> None:
    names = OutputColumns(FIELDS, ["label"])
    assert names.given({"label": 1}) == {"label_given": 1}
    assert list(names.given({"label": 1, "label_given": 2}).values()) == [1, 2]
    assert len(set(names.given({"label": 1, "label_given": 2}))) == 2
    assert names.given({"label": 3}) == {"label_given": 3}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_value_survives_a_chain_of_three_models(suffix: str, tmp_path: Path) -> None:
    import pyarrow.parquet

    rows: list[dict[str, Any]] = [{"text": "a", "label": "gold 1"}, {"text": "b", "label": "gold 2"}]
    for model in ("first", "second", "third"):
        names = OutputColumns(FIELDS, rows[0])
        said = {"label": model, "probabilities": {"bad": 0.5, "good": 0.5}}
        out = tmp_path / f"{model}.{suffix}"
        write_file([Line(names.given(row), names.added(said)) for row in rows], out)
        if suffix == "parquet":
            rows = pyarrow.parquet.read_table(out).to_pylist()
        elif suffix == "csv":
            rows = list(csv.DictReader(io.StringIO(out.read_text())))
        else:
            rows = [json.loads(line) for line in out.read_text().splitlines()]
    labels = {name: value for name, value in rows[1].items() if name.startswith("label")}
    assert labels == {
        "label_given": "gold 2", "label_given_2": "first", "label_given_3": "second", "label": "third",
    }  # fmt: skip
    assert sum(name.startswith("probabilities") for name in rows[1]) == (6 if suffix == "csv" else 3)


def test_label_probabilities_read_from_parquet_are_written_to_parquet_again(tmp_path: Path) -> None:
    """Rows differ in their labels, so the column is a map, which pyarrow reads as lists of pairs."""
    import pyarrow.parquet

    labels, out = ("a", "b", "c"), tmp_path / "out.parquet"
    rows: list[dict[str, Any]] = [{"text": "x"}, {"text": "y"}]
    for _ in range(2):
        names = OutputColumns(FIELDS, rows[0], labels)
        said = [{"label": name, "probabilities": {name: 0.5}} for name in ("a", "b")]
        write_file([Line(names.given(r), names.added(s)) for r, s in zip(rows, said, strict=True)], out)
        rows = pyarrow.parquet.read_table(out).to_pylist()
    assert [dict(row["probabilities_given"]) for row in rows] == [{"a": 0.5}, {"b": 0.5}]


def test_only_the_vectors_of_predictions_are_stored_in_fp32(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    out = tmp_path / "out.parquet"
    names = OutputColumns(["vector"], ["vector"])
    write_file([Line(names.given({"vector": [0.1]}), names.added({"vector": [0.2]}))], out)
    schema = pyarrow.parquet.read_schema(out)
    assert schema.field("vector_given").type.value_type == pa.float64()
    assert schema.field("vector").type.value_type == pa.float32()


def as_csv(lines: list[Line], columns: list[str] | None = None) -> list[dict[str, str]]:
    file = io.StringIO()
    write_text(lines, file, as_csv=True, columns=columns)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_objects_with_different_keys_have_one_csv_column_per_key() -> None:
    from bertune.data.memory import table_from_memory

    rows = [{"text": "x", "meta": {"a": 1}}, {"text": "y", "meta": {"b": 2}}]
    names = OutputColumns(FIELDS, rows[0])
    lines = [Line(names.given(row), names.added(PREDICTED)) for row in rows]
    found = as_csv(lines, csv_columns(table_from_memory(rows), names))
    assert [(row["meta.a"], row["meta.b"]) for row in found] == [("1", ""), ("", "2")]


def test_streamed_csv_refuses_columns_missing_from_the_header() -> None:
    lines = [
        Line({"meta": {"a": 1}}, PREDICTED, place="f, line 1"),
        Line({"meta": {"b": 2}}, PREDICTED, place="f, line 2"),
    ]
    with pytest.raises(DataError, match=r"f, line 2: the CSV header.* no column for meta\.b.* JSON Lines"):
        as_csv(lines)


def test_two_values_for_one_column_of_csv_are_refused() -> None:
    line = Line({"a": {"b": 1}, "a.b": 2}, PREDICTED, place="f, line 1")
    with pytest.raises(DataError, match=r"f, line 1: two values .* a\.b"):
        as_csv([line])


def test_a_stream_whose_encoding_lacks_a_character_is_refused_with_it() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    with pytest.raises(DataError, match="'坏' to a stream with encoding latin-1"):
        write_text([Line({"text": "坏"}, PREDICTED)], file, as_csv=False)


def test_a_prefix_is_refused_for_a_format_without_columns() -> None:
    refuse_prefix("", Path("a.npy"))
    with pytest.raises(
        ConfigError, match=r"predict\.prefix=x_ renames columns, but a \.npy file has no columns"
    ):
        refuse_prefix("x_", Path("a.npy"))


def test_a_file_is_recognised_under_all_its_names(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text\n")
    (tmp_path / "other.csv").write_text("text\n")
    (tmp_path / "link.csv").symlink_to("a.csv")
    (tmp_path / "hard.csv").hardlink_to(file)
    for name in ("a.csv", "link.csv", "hard.csv", f"../{tmp_path.name}/a.csv"):
        assert is_same_file(tmp_path / name, str(file)), name
    assert not is_same_file(tmp_path / "other.csv", str(file))
    assert not is_same_file(tmp_path / "new.csv", str(file))
    with file.open() as read, file.open("a") as written:
        assert is_same_file(written, str(file)) and is_same_file(file, read)
    with open("/dev/null") as first, open("/dev/null") as second:
        assert not is_same_file(first, second), "a terminal is both input and output"


@pytest.mark.parametrize("out", ["/dev/stdout", "/dev/null", "/dev/fd/1"])
def test_a_device_is_not_replaced_by_a_file(out: str) -> None:
    with pytest.raises(InputError, match="is not a regular file"):
        refuse_out(Path(out), ["csv", ""])
