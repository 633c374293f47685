"""Label names: booleans in every format, labels that look alike, and missing texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.parts.label_names import look_alike_labels, look_alike_warnings
from tiny import QUICK, bertune, reviews

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    "labels",
    [
        ("Good", "good"), (COMPOSED, DECOMPOSED), ("good", "go\u200bod"), ("\uff21", "a"), ("1", "1.0", "01"),
        ("very  good", "very good"), ("0", "-0.0"), ("good\ufeff", "good"), ("5", "\uff15"),
        ("1", "1,0"), ("2.5", "2,50"), ("sci-fi", "sci\u2013fi"), ("don't", "don\u2019t"), ("\u0130d", "id"),
    ],
)  # fmt: skip
def test_labels_that_look_alike_are_listed_with_their_counts(labels: tuple[str, ...]) -> None:
    counts = {label: number for number, label in enumerate(labels, start=3)}
    assert look_alike_labels({**counts, "other": 9}) == [labels]
    (warning,) = look_alike_warnings({**counts, "other": 9})
    assert all(f'"{label}"' in warning and f"({count})" in warning for label, count in counts.items())
    assert "other" not in warning


def test_invisible_characters_are_shown_as_escapes() -> None:
    (warning,) = look_alike_warnings({"good": 2, "go\u200bod": 1})
    assert "[go\\u200bod]" in warning


@pytest.mark.parametrize(
    "labels", [("good", "bad"), ("1", "10"), ("1", "-1"), ("a", "\u00e1"), ("1a", "01"), ("1", "1,000")]
)
def test_different_labels_cause_no_warning(labels: tuple[str, ...]) -> None:
    assert look_alike_warnings(dict.fromkeys(labels, 1)) == []


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_check_warns_about_labels_that_look_alike(task: str, tiny_weights: Path, tmp_path: Path) -> None:
    labels = ["Good" if number % 6 == 0 else label for number, (_, label) in enumerate(reviews(36))]
    frame = pd.DataFrame({"text": [text for text, _ in reviews(36)], "label": labels})
    frame.to_csv(tmp_path / "a.csv", index=False)
    settings = (f"task.name={task}", f"model.name={tiny_weights}")
    checked = bertune("check", tmp_path / "a.csv", *settings).fine()
    assert '"Good" (6)' in checked.out + checked.err and '"good" (12)' in checked.out + checked.err


def as_label(value: Any) -> Any:
    task = make_task(TaskConfig(name="classification"))
    row = Row({"text": "fine", "label": value}, Origin("a.csv", 7))
    return task.parse(row, Columns(("text",), "label", None)).gold


def test_a_boolean_is_the_same_label_in_every_spelling() -> None:
    assert {as_label(value) for value in (True, "True", "TRUE", "true", " True ")} == {"true"}
    assert {as_label(value) for value in (False, "False", "FALSE", "false")} == {"false"}
    assert as_label("Mostly True") == "Mostly True"


def test_a_model_trained_on_csv_can_be_evaluated_on_other_formats(tiny_weights: Path, tmp_path: Path) -> None:
    texts = [text for text, _ in reviews(24)]
    frame = pd.DataFrame({"text": texts, "label": [label == "good" for _, label in reviews(24)]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    run = tmp_path / "run"
    settings = (f"model.name={tiny_weights}", "task.positive_label=True", *QUICK)
    bertune("train", tmp_path / "a.csv", *settings, "--out", run).fine()
    model = api.load(run)
    assert model.labels == ("false", "true")
    scores = [model.evaluate(tmp_path / f"a.{suffix}").scores for suffix in ("csv", "parquet", "jsonl")]
    assert scores[0] == scores[1] == scores[2] == model.evaluate(frame).scores

    # Missing texts have no prediction, in lists and in tables.
    missing: list[Any] = [None, float("nan"), np.nan, pd.NA, pd.NaT]
    found = model.predict([missing[0], "it was great", *missing[1:]])
    assert [p is None for p in found] == [True, False, True, True, True, True]
    assert model.predict(pd.DataFrame({"text": [None, "it was great"]})) == found[:2]
    assert np.isnan(model.predict_proba([None, "it was great"])).any(axis=1).tolist() == [True, False]
    written = model.predict_file([None, "it was great"], tmp_path / "out.jsonl")
    assert (written.rows, written.blank) == (2, 1)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [None, "it was great"]
    with pytest.raises(DataError, match=r"text .* is empty"):
        model.evaluate(([None, "it was great"], [True, False]))


def test_a_model_with_capitalized_boolean_labels_of_older_versions_can_be_evaluated() -> None:
    task = make_task(TaskConfig(name="classification"))
    fitted = task.fitted(("False", "True")).for_scoring([])
    assert fitted.labels == ("false", "true")


@pytest.mark.parametrize("cell", [["good"], "['good']", '["good"]', np.array(["good"], dtype=object)])
def test_a_list_of_one_label_is_that_label(cell: Any) -> None:
    task = make_task(TaskConfig(name="classification"))
    columns = Columns(("text",), "label", None)
    row = Row({"text": "a lamp", "label": cell}, Origin("a.csv", 2))
    assert task.parse(row, columns).gold == "good"
    brackets = Row({"text": "a lamp", "label": "[good]"}, Origin("a.csv", 3))
    assert task.parse(brackets, columns).gold == "[good]"


@pytest.mark.parametrize(("cell", "label"), [("[0]", "0"), ("[1.0]", "1"), ("[True]", "true"), ([2], "2")])
def test_a_list_of_one_number_is_the_same_label_in_every_format(cell: Any, label: str) -> None:
    assert as_label(cell) == label
    assert as_label("[0, 10]") == "[0, 10]", "this may be the name of an interval"


@pytest.mark.parametrize("cell", [["good", "new"], "['good', 'new']"])
def test_several_labels_in_a_cell_are_refused_by_a_task_with_one(cell: Any) -> None:
    row = Row({"text": "a lamp", "label": cell}, Origin("a.csv", 2))
    with pytest.raises(DataError, match=r"^a\.csv, line 2: .* 2 labels.* task\.name=multilabel"):
        make_task(TaskConfig(name="classification")).parse(row, Columns(("text",), "label", None))
