"""Folders as data: parts of a Parquet table, and folders saved by `datasets`."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertune.config import DataConfig
from bertune.data.tables import Table, open_table
from bertune.errors import DataError
from bertune.source import resolve_source

FEATURES = datasets.Features(
    {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["neg", "pos"]),
        "tags": datasets.List(datasets.ClassLabel(names=["O", "X"])),
    }
)


def dataset(*texts: str) -> datasets.Dataset:
    columns = {
        "text": list(texts),
        "label": [i % 2 for i in range(len(texts))],
        "tags": [[0, 1] for _ in texts],
    }
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def opened(path: Path) -> Table:
    return open_table(path, DataConfig(), ())


def read(path: Path) -> list[tuple[str, str, int]]:
    return [(row.values["text"], Path(row.origin.file).name, row.origin.line) for row in opened(path).rows()]


def parts(folder: Path, **texts: list[str]) -> Path:
    folder.mkdir()
    for name, column in texts.items():
        pq.write_table(pa.table({"text": column}), folder / f"{name.replace('__', '-')}.parquet")
    return folder


def test_the_parquet_files_of_a_folder_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = parts(tmp_path / "data", part__1=["c"], part__0=["a", "b"])
    (folder / "_SUCCESS").write_text("")
    (folder / "_metadata.parquet").write_text("not a part")
    expected = [("a", "part-0.parquet", 1), ("b", "part-0.parquet", 2), ("c", "part-1.parquet", 1)]
    assert read(folder) == expected == read(folder / "part-*.parquet")
    assert opened(folder).columns == ("text",)


def test_parts_with_other_columns_are_refused_with_both_names(tmp_path: Path) -> None:
    folder = parts(tmp_path / "data", a=["x"])
    pq.write_table(pa.table({"txt": ["y"]}), folder / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet has the columns txt, but a\.parquet has text"):
        read(folder)


def test_files_of_several_splits_are_splits_and_never_one_table(tmp_path: Path) -> None:
    folder = parts(
        tmp_path / "hub",
        train__00000__of__00002=["a"],
        train__00001__of__00002=["b"],
        test__0=["c"],
        dev=["d"],
    )
    source = resolve_source(folder, None)
    data = source.config.data
    assert [Path(str(p)).name for p in (data.train, data.validation, data.test)] == [
        "train*.parquet", "dev*.parquet", "test*.parquet",
    ]  # fmt: skip
    assert [text for text, _, _ in read(Path(str(data.train)))] == ["a", "b"]
    assert source.name == "hub" and f"test: {folder}/test*.parquet" in source.notes
    own = resolve_source(folder, {"data.test": str(folder / "dev.parquet")})
    assert Path(str(own.config.data.test)).name == "dev.parquet"
    with pytest.raises(DataError, match=r"contains the files of several splits.*test\*\.parquet"):
        opened(folder)


def test_a_pattern_without_matches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet files found"):
        opened(tmp_path / "x-*.parquet")


def test_a_saved_data_set_is_read_in_the_order_of_its_state_with_class_names(tmp_path: Path) -> None:
    dataset("a", "b", "c").save_to_disk(tmp_path / "saved", num_shards=2)
    rows = [dict(row.values) for row in opened(tmp_path / "saved").rows()]
    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert [row["label"] for row in rows] == ["neg", "pos", "neg"] and rows[0]["tags"] == ["O", "X"]
    state = tmp_path / "saved" / "state.json"
    content = json.loads(state.read_text())
    content["_data_files"].reverse()
    state.write_text(json.dumps(content))
    assert [text for text, _, _ in read(tmp_path / "saved")] == ["c", "a", "b"]


def test_parquet_of_a_data_set_has_the_same_class_names(tmp_path: Path) -> None:
    dataset("a", "b").to_parquet(tmp_path / "a.parquet")
    assert [row.values["label"] for row in opened(tmp_path / "a.parquet").rows()] == ["neg", "pos"]


def test_a_hidden_label_is_none_and_an_impossible_one_refused(tmp_path: Path) -> None:
    table = dataset("a", "b").data.table
    for number, name in ((-1, "hidden"), (7, "wrong")):
        changed = table.set_column(1, "label", pa.array([0, number], pa.int64()))
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata), tmp_path / f"{name}.parquet")
    assert [row.values["label"] for row in opened(tmp_path / "hidden.parquet").rows()] == ["neg", None]
    with pytest.raises(
        DataError,
        match=r'wrong\.parquet, line 2: column "label" contains 7, expected a class number from 0 to 1',
    ):
        read(tmp_path / "wrong.parquet")


def test_a_saved_dict_of_data_sets_gives_its_splits(tmp_path: Path) -> None:
    whole = datasets.DatasetDict(
        {"train": dataset("a"), "validation": dataset("b"), "test": dataset("c"), "extra": dataset("d")}
    )
    whole.save_to_disk(tmp_path / "saved")
    data = resolve_source(tmp_path / "saved", None).config.data
    assert [read(Path(str(p)))[0][0] for p in (data.train, data.validation, data.test)] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"several splits: train, validation, test, extra"):
        opened(tmp_path / "saved")


def test_splits_without_one_to_train_on_are_refused(tmp_path: Path) -> None:
    datasets.DatasetDict({"a": dataset("x"), "b": dataset("y")}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"no split is named train; found a, b"):
        resolve_source(tmp_path / "saved", None)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "state.json",
            '{"_data_files": [{"filename": "../other.arrow"}]}',
            'in this folder in "_data_files"',
        ),
        ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', r"gone\.arrow is missing"),
        ("state.json", "{}", 'in "_data_files"'),
        ("state.json", "[", "not a JSON file, or corrupt"),
        ("dataset_info.json", "7", "expected an object"),
        ("data-00000-of-00001.arrow", "text", "not an Arrow stream file, or corrupt"),
    ],
)
def test_a_damaged_data_set_is_refused_with_its_file(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    dataset("a").save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / file).write_text(content)
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "saved")


def test_parquet_files_in_a_subfolder_are_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").touch()
    with pytest.raises(DataError, match=rf"only in subfolders \(data\).*Use {tmp_path}/data$"):
        open_table(tmp_path, DataConfig(), ())


def test_a_folder_of_a_users_own_files_is_answered_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(DataError, match=r"without Parquet files and not a saved data set\. .*a\.csv"):
        opened(tmp_path)
