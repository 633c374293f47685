"""`bertune evaluate`: the scores of a trained model on a labelled file."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tiny import bertune, contents, reviews, write_csv

ONE_THREAD = "machine.threads=1"


def test_evaluate_gives_exactly_the_scores_of_training(trained: Any) -> None:
    before = contents(trained.run)
    found = bertune("evaluate", trained.run, trained.folder / "test.csv", ONE_THREAD, "--json").fine().json
    assert found["scores"]["test"] == trained.said.json["scores"]["test"]
    assert found["details"]["test"] == trained.said.json["details"]["test"]
    assert (found["examples"], found["truncated"]) == (21, 0)
    assert contents(trained.run) == before


def test_evaluate_shows_scores_and_classes_on_stdout(trained: Any) -> None:
    said = bertune("evaluate", trained.run, trained.folder / "test.csv").fine()
    for word in ("accuracy", "mcc", "precision", "support", "good", "bad"):
        assert word in said.out
    accuracy = trained.said.json["scores"]["test"]["accuracy"]
    assert f"{accuracy:.4f}" in said.out
    assert "21 texts" in said.err


def test_a_copied_model_folder_is_sufficient(trained: Any, here: Path) -> None:
    shutil.copytree(trained.run / "model", here / "sent")
    found = bertune("evaluate", "sent", trained.folder / "test.csv", ONE_THREAD, "--json").fine().json
    assert found["scores"]["test"] == trained.said.json["scores"]["test"]


def test_other_columns_can_be_set(trained: Any, here: Path) -> None:
    write_csv(here / "other.csv", [(label, text) for text, label in reviews(10)], "verdict,body text")
    said = bertune(
        "evaluate", trained.run, "other.csv", "data.text=body text", "data.label=verdict", "--json"
    )
    assert said.fine().json["examples"] == 10


def test_an_unknown_label_is_refused_with_its_line(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [*reviews(4), ("great phone", "goood")])
    said = bertune("evaluate", trained.run, "new.csv")
    assert said.code == 3
    for part in ("new.csv, line 6", '"goood"', '"good"'):
        assert part in said.err


def test_a_file_without_labels_is_refused(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [(text,) for text, _ in reviews(4)], "text")
    said = bertune("evaluate", trained.run, "new.csv")
    assert said.code == 3 and "new.csv" in said.err and "label" in said.err


def test_truncated_texts_are_counted(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [*reviews(4), ("great phone " * 20, "good")])
    assert bertune("evaluate", trained.run, "new.csv", "--json").fine().json["truncated"] == 0
    given = (trained.run, "new.csv", "model.max_length=30")
    assert bertune("evaluate", *given, "--json").fine().json["truncated"] == 1
    said = bertune("evaluate", *given).fine().err
    assert "1 of 5 texts were truncated to model.max_length=30 tokens" in said


def test_the_data_file_is_not_replaced_by_predictions(trained: Any, here: Path) -> None:
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in reviews(4))
    (here / "new.jsonl").write_text(lines)
    (here / "taken.csv").write_text("mine")
    for out, message in (
        ("new.jsonl", "new.jsonl is the data file itself"),
        ("./new.jsonl", "new.jsonl is the data file itself"),
        ("taken.csv", "taken.csv already exists. evaluate does not overwrite files"),
        (
            "folder",
            "folder: unsupported suffix for a prediction file. Expected one of .jsonl, .csv, .parquet",
        ),
        ("vectors.npy", "unsupported suffix for a prediction file. Expected one of .jsonl, .csv, .parquet"),
        ("nowhere/said.csv", "the folder does not exist"),
    ):
        said = bertune("evaluate", trained.run, "new.jsonl", "--out", out)
        assert said.code == 3 and said.out == "" and message in " ".join(said.err.split())
    assert (here / "new.jsonl").read_text() == lines
    assert (here / "taken.csv").read_text() == "mine"
    assert {path.name for path in here.iterdir()} == {"new.jsonl", "taken.csv"}


@pytest.mark.parametrize("name", ["said.jsonl", "said.csv", "said.parquet"])
def test_out_has_one_row_per_example_with_label_and_prediction(trained: Any, here: Path, name: str) -> None:
    stored = [
        json.loads(line) for line in (trained.run / "predictions" / "test.jsonl").read_text().splitlines()
    ]
    said = bertune("evaluate", trained.run, trained.folder / "test.csv", ONE_THREAD, "--out", name).fine()
    assert f"predictions written to {name}" in said.err
    if name.endswith("jsonl"):
        rows = [json.loads(line) for line in Path(name).read_text().splitlines()]
        assert [row | {"source": ""} for row in rows] == [row | {"source": ""} for row in stored]
        return
    if name.endswith("csv"):
        rows = list(csv.DictReader(io.StringIO(Path(name).read_text())))
        chances = [float(row["probabilities.good"]) for row in rows]
        texts = [json.loads(row["text"]) for row in rows]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(name).to_pylist()
        chances = [row["probabilities"]["good"] for row in rows]
        texts = [row["text"] for row in rows]
    assert [(row["id"], row["gold"], row["label"]) for row in rows] == [
        (row["id"], row["gold"], row["label"]) for row in stored
    ]
    assert texts == [row["text"] for row in stored]
    assert chances == [row["probabilities"]["good"] for row in stored]


def test_scores_that_no_prediction_could_change_cause_a_warning(trained: Any, here: Path) -> None:
    write_csv(here / "one.csv", [(text, "good") for text, _ in reviews(6)])
    said = bertune("evaluate", trained.run, "one.csv").fine()
    message = (
        'warning: all 6 texts have the label "good" (missing: bad); regardless of the predictions, mcc is 0'
    )
    assert message in " ".join(said.err.split())
    found = bertune("evaluate", trained.run, "one.csv", "--json").fine().json
    (warning,) = found["warnings"]
    assert "mcc is 0; roc_auc is undefined" in warning
    assert (found["scores"]["one"]["roc_auc"], found["scores"]["one"]["mcc"]) == (None, 0)
