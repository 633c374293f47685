"""Sources of `bertune.train` and `bertune.check` other than files: tables and lists."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertune as bt
from tiny import reviews, write_csv

Checked = Callable[..., dict[str, Any]]
ROWS = reviews(20)
TEXTS = [text for text, _ in ROWS]
LABELS = [label for _, label in ROWS]
RECORDS = [{"text": text, "label": label} for text, label in ROWS]
AS_EXPECTED = {
    "rows": {"train": 18, "validation": 2},
    "labels": ("bad", "good"),
    "columns": {"text": ["text"], "label": "label", "id": None},
}


def data_frame() -> Any:
    import pandas as pd

    return pd.DataFrame(RECORDS, index=range(100, 120))


def arrow() -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(RECORDS)


def hugging_face() -> Any:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "bad"])}
    )
    return datasets.Dataset.from_list([{**r, "label": int(r["label"] == "bad")} for r in RECORDS], features)


SOURCES = {"pandas": data_frame, "arrow": arrow, "hugging face": hugging_face, "dicts": lambda: RECORDS}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_a_table_in_memory_is_read_like_a_file(make: Callable[[], Any], checked: Checked) -> None:
    assert checked(make()) == AS_EXPECTED


def test_two_lists_are_read_as_texts_and_labels(checked: Checked) -> None:
    assert checked(TEXTS, LABELS) == AS_EXPECTED
    assert checked(tuple(TEXTS), np.array(LABELS)) == AS_EXPECTED


def test_a_list_of_pairs_is_read_as_pairs(checked: Checked) -> None:
    found = checked([(text, "lamp") for text in TEXTS], LABELS)
    assert found["columns"]["text"] == ["text_a", "text_b"]
    assert checked([[text, "lamp"] for text in TEXTS], LABELS) == found


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([i % 2 for i in range(20)], ("0", "1")),
        ([i % 2 == 0 for i in range(20)], ("false", "true")),
        ([float(i % 3) for i in range(20)], ("0", "1", "2")),
        ([i % 4 * 5 for i in range(20)], ("0", "5", "10", "15")),
        ([("看好", "差评")[i % 2] for i in range(20)], ("差评", "看好")),
        (np.arange(20) % 2, ("0", "1")),
        ([datetime.date(2020 + i % 2, 1, 1) for i in range(20)], ("2020-01-01", "2021-01-01")),
    ],
)
def test_labels_keep_their_names(labels: Any, names: tuple[str, ...], checked: Checked) -> None:
    assert checked(TEXTS, labels)["labels"] == names


def test_labels_of_a_data_frame_can_be_categories(checked: Checked) -> None:
    import pandas as pd

    frame = data_frame()
    frame["label"] = pd.Categorical(frame["label"], categories=["good", "bad", "never used"])
    assert checked(frame) == AS_EXPECTED


def test_a_dict_of_tables_gives_the_splits(checked: Checked) -> None:
    found = checked({"train": RECORDS, "validation": RECORDS[:6], "test": arrow()})
    assert found["rows"] == {"train": 20, "validation": 6, "test": 20}


def test_a_dict_of_hugging_face_splits_keeps_class_names(checked: Checked) -> None:
    import datasets

    splits = datasets.DatasetDict({"train": hugging_face(), "test": hugging_face()})
    found = checked(splits)
    assert found["rows"] == {"train": 18, "validation": 2, "test": 20}
    assert found["labels"] == ("bad", "good")


def test_columns_of_a_table_are_chosen_by_settings(checked: Checked) -> None:
    frame = data_frame().rename(columns={"text": "what they said", "label": "verdict"})
    found = checked(frame, **{"data.text": "what they said", "data.label": "verdict"})
    assert found["columns"]["text"] == ["what they said"] and found["labels"] == ("bad", "good")


def test_a_path_can_be_a_string_or_a_path(tmp_path: Path, checked: Checked) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    assert checked(path) == checked(str(path)) == AS_EXPECTED


def test_training_on_a_hugging_face_data_set_keeps_class_names(
    settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run = bt.train(hugging_face(), settings=settings(**{"train.epochs": 1}), out=tmp_path / "run")
    assert run.manifest["labels"] == ["bad", "good"]
    assert json.loads((run.model_path / "config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}
    assert {prediction.label for prediction in bt.predict(run, TEXTS)} <= {"good", "bad"}
    assert {line["gold"] for line in run.predictions("validation")} == {"good", "bad"}


@pytest.mark.parametrize(
    ("source", "labels", "parts"),
    [
        (3, None, ["int", "DataFrame"]),
        (None, None, ["None", "DataFrame"]),
        ([], None, ["empty"]),
        (TEXTS, None, ["could not identify the label column", "list of labels"]),
        (TEXTS, LABELS[:-1], ["20 texts", "19 labels"]),
        ("great phone", LABELS, ["labels", "file"]),
        ([*TEXTS[:-1], None], LABELS, ["line 20", "empty"]),
        ([*TEXTS[:-1], ("a", "b")], LABELS, ["row 20", "('a', 'b')"]),
        (TEXTS, [*LABELS[:-1], None], ["line 20", "missing"]),
        ([*RECORDS, {"text": "great", "lable": "good"}], None, ["line 21", "lable", '"label"']),
        ([*RECORDS, {"text": " ", "label": "good"}], None, ["line 21", "empty"]),
        ({"train": RECORDS, "dev": RECORDS}, None, ['"dev"', "validation"]),
        ({"train": RECORDS, "test": 3}, None, ["int", "DataFrame"]),
        (iter(RECORDS), None, ["iterator", "DataFrame"]),
    ],
)
def test_anything_but_data_is_refused_with_its_type(
    source: Any, labels: Any, parts: list[str], settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(bt.BertuneError) as caught:
        bt.train(source, labels, settings=settings(), out=tmp_path / "run")
    for part in parts:
        assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        ({"train.epochs": "many"}, "train.epochs"),
        ({"train.epoch": 3}, "train.epochs"),
        ({"epochs": 3}, "train.epochs"),
        ({"train": 3}, "train"),
        ({"train": {"epochs": 0}}, "train.epochs"),
        ({"data.text": ["a", "b", "c"]}, "data.text"),
    ],
)
def test_wrong_settings_are_refused_as_on_the_command_line(overrides: dict[str, Any], part: str) -> None:
    with pytest.raises(bt.BertuneError, match=part):
        bt.check(RECORDS, settings=overrides)


@pytest.mark.parametrize("overrides", [["train.epochs=3"], "train.epochs=3", {3: 4}])
def test_settings_that_are_not_a_dict_are_refused(overrides: Any) -> None:
    with pytest.raises((bt.BertuneError, TypeError), match=r"settings must be a dict"):
        bt.check(RECORDS, settings=overrides)
