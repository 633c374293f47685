"""Predicting a file of predictions, and writing files: no column or file of the user is lost."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest

from tiny import bertune, reviews, write_csv

ROWS = reviews(4, seed=5)


def test_piping_two_models_keeps_the_labels_of_both(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", ROWS)
    first = bertune("predict", trained.run, "new.csv").fine()
    assert "label to label_given" in first.err and "predict.prefix" in first.err
    second = bertune("predict", trained.run, "-", stdin=first.out).fine()
    assert "label to label_given_2, probabilities to probabilities_given" in second.err
    for once, twice in zip(first.lines, second.lines, strict=True):
        assert twice["label_given"] == once["label_given"]
        assert twice["label_given_2"] == once["label"]
        assert twice["probabilities_given"] == once["probabilities"]
        assert set(twice) == {*once, "label_given_2", "probabilities_given"}


def test_a_prefix_is_added_to_the_columns_of_a_model(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", ROWS)
    bertune("predict", trained.run, "new.csv", "predict.prefix=a_", "--out", "a.csv").fine()
    said = bertune("predict", trained.run, "a.csv", "predict.prefix=b_", "--csv").fine()
    found = list(csv.DictReader(io.StringIO(said.out)))
    assert [(row["text"], row["label"]) for row in found] == ROWS
    assert list(found[0]) == [
        "text", "label", "a_label", "a_probabilities.bad", "a_probabilities.good",
        "b_label", "b_probabilities.bad", "b_probabilities.good",
    ]  # fmt: skip
    assert "renamed input columns" not in said.err


def test_evaluation_accepts_the_prefix_and_training_does_not(trained: Any, here: Path, encoder: Path) -> None:
    write_csv(here / "new.csv", ROWS)
    bertune("evaluate", trained.run, "new.csv", "predict.prefix=a_", "--out", "a.csv").fine()
    header = (here / "a.csv").read_text().splitlines()[0]
    assert header == "id,source,text,gold,a_label,a_probabilities.bad,a_probabilities.good"
    for verb in ("train", "check"):
        said = bertune(verb, "new.csv", f"model.name={encoder}", "predict.prefix=a_")
        assert said.code == 3 and "predict.prefix applies to `bertune predict`" in said.err
    assert not (here / "runs").exists()


def test_the_settings_of_a_run_contain_no_prediction_settings(trained: Any) -> None:
    assert "predict" not in (trained.run / "config.toml").read_text()


@pytest.mark.parametrize("name", ["link.jsonl", "hard.jsonl", "../here/a.jsonl"])
def test_the_input_is_not_overwritten_under_another_name(trained: Any, here: Path, name: str) -> None:
    (here / "a.jsonl").write_text('{"text": "great phone"}\n')
    (here / "link.jsonl").symlink_to("a.jsonl")
    os.link(here / "a.jsonl", here / "hard.jsonl")
    said = bertune("predict", trained.run, "a.jsonl", "--out", name)
    assert said.code == 3 and "is the input file" in said.err
    assert (here / "a.jsonl").read_text() == '{"text": "great phone"}\n'


def test_a_file_that_is_replaced_is_reported(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", ROWS)
    assert "replacing" not in bertune("predict", trained.run, "new.csv", "--out", "a.csv").fine().err
    said = bertune("predict", trained.run, "new.csv", "--out", "a.csv").fine()
    assert "wrote 4 rows to a.csv, replacing the existing file" in said.err


def test_predictions_are_not_taken_for_gold_labels(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", ROWS)
    bertune("predict", trained.run, "new.csv", "--out", "a.jsonl").fine()
    for verb in (
        ("evaluate", trained.run, "a.jsonl"),
        ("check", "a.jsonl", f"model.name={trained.run}/model"),
    ):
        refused = bertune(*verb)
        assert refused.code == 3
        assert "set data.label=label_given" in refused.err
    scores = [
        bertune("evaluate", trained.run, file, *settings, "--json").fine().json["scores"]
        for file, settings in (("new.csv", ()), ("a.jsonl", ("data.label=label_given",)))
    ]
    assert scores[0]["new"] == scores[1]["a"]
    own = bertune("evaluate", trained.run, "a.jsonl", "data.label=label", "--json").fine()
    assert own.json["scores"]["a"]["accuracy"] == 1


def test_predictions_without_gold_are_recognised_by_their_columns(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [(text,) for text, _ in ROWS], header="text")
    bertune("predict", trained.run, "new.csv", "--out", "a.csv").fine()
    refused = bertune("evaluate", trained.run, "a.csv")
    assert refused.code == 3
    assert 'column "label" seems to hold the predictions' in refused.err
