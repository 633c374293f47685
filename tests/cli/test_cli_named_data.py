"""A named data set in place of a file: `evaluate` and `predict` use its evaluation file."""

from pathlib import Path
from typing import Any

import pytest

from tiny import bertune, reviews, write_csv


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BERTUNE_DATA with the three files of CoLA in their format; nothing is downloaded."""
    folder = tmp_path / "data"
    for name, count, seed in (
        ("in_domain_train", 40, 1),
        ("in_domain_dev", 10, 2),
        ("out_of_domain_dev", 8, 3),
    ):
        lines = [f"gj\t{int(label == 'good')}\t\t{text}" for text, label in reviews(count, seed)]
        (folder / "cola").mkdir(parents=True, exist_ok=True)
        (folder / "cola" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("BERTUNE_DATA", str(folder))
    monkeypatch.setenv("BERTUNE_CACHE", str(tmp_path / "cache"))
    return folder


def test_a_named_data_set_is_evaluated_on_its_test_file(
    data: Path, here: Path, quick: tuple[str, ...], trained: Any
) -> None:
    run = bertune("train", "cola", *quick, "--out", "run", "--json").fine().json
    said = bertune("evaluate", "run", "cola", "--json").fine().json
    assert said["examples"] == 8
    assert said["scores"]["cola"] == pytest.approx(run["scores"]["test"])
    told = bertune("evaluate", "run", "cola").fine()
    assert f"cola: using the test file {data / 'cola' / 'out_of_domain_dev.tsv'}" in told.err
    predicted = bertune("predict", "run", "cola").fine()
    assert len(predicted.lines) == 8 and "cola: using the test file" in predicted.err


def test_a_model_trained_on_another_file_is_evaluated_with_the_settings_of_the_data_set(
    data: Path, here: Path, trained: Any
) -> None:
    """The label names differ, which evaluation reports; prediction needs no labels."""
    predicted = bertune("predict", trained.run, "cola").fine().lines
    assert [line["3"] for line in predicted] == [text for text, _ in reviews(8, 3)]
    refused = bertune("evaluate", trained.run, "cola")
    assert refused.code == 3
    assert 'out_of_domain_dev.tsv, line 1: the label "1" does not occur in the training data' in refused.err


def test_the_validation_file_is_used_if_there_is_no_test_file(
    data: Path, here: Path, quick: tuple[str, ...]
) -> None:
    (data / "sst2").mkdir()
    for name, seed in (("train", 1), ("dev", 2)):
        rows = [(text, int(label == "good")) for text, label in reviews(20, seed)]
        lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in rows)]
        (data / "sst2" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    bertune("train", "cola", *quick, "--out", "run").fine()
    told = bertune("evaluate", "run", "sst2").fine()
    assert f"sst2: using the validation file {data / 'sst2' / 'dev.tsv'}" in told.err
    assert "20 texts" in told.err


def test_a_data_set_with_only_a_training_file_is_refused(here: Path, trained: Any) -> None:
    refused = bertune("evaluate", trained.run, "demo")
    assert refused.code == 3
    assert 'the data set "demo" has only a training file, and no test or validation file' in refused.err
    assert "demo.csv" in refused.err


def test_user_settings_override_those_of_the_data_set(data: Path, here: Path, trained: Any) -> None:
    refused = bertune("predict", trained.run, "cola", "data.text=9")
    assert refused.code == 3 and 'no column "9"' in refused.err


def test_a_misspelt_name_is_answered_with_the_nearest_one(here: Path, trained: Any) -> None:
    refused = bertune("evaluate", trained.run, "colaa")
    assert refused.code == 3
    assert '"colaa" is neither a file nor a named data set. Did you mean "cola"?' in refused.err
    write_csv(here / "colaa", reviews(4))
    assert "colaa: comma-separated" in bertune("evaluate", trained.run, "colaa").fine().err
