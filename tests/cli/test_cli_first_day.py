"""Training, prediction and evaluation of each task with the example that `bertune tasks NAME` shows."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bertune import api, registry
from bertune.metadata import read_metadata
from bertune.predict.predictor import plain
from tiny import QUICK, Result, bertune


@dataclass(frozen=True)
class Day:
    """A folder with the example as copied from the screen, and its training. Read only."""

    name: str
    trained: Result
    rows: list[dict[str, Any]]
    text: tuple[str, ...]  # the inferred text columns

    @property
    def inputs(self) -> list[tuple[Any, ...]]:
        """The texts of each row."""
        return [tuple(row[column] for column in self.text) for row in self.rows]


@pytest.fixture(scope="module", params=registry.names("task"))
def day(
    request: pytest.FixtureRequest, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Day]:
    """The example, checked and trained without settings for columns or splits."""
    name = request.param
    with contextlib.chdir(tmp_path_factory.mktemp(name)):
        shown = bertune("tasks", name).fine().out
        copied = shown.split("Sample data (JSON Lines):\n")[1]
        lines = [line for line in copied.splitlines() if line.startswith("{")]
        Path("example.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        base = ("example.jsonl", f"task.name={name}", f"model.name={tiny_weights}")
        checked = bertune("check", *base, "--json").fine().json
        trained = bertune("train", *base, *QUICK, "--json").fine()
        rows = [json.loads(line) for line in lines]
        splits = checked["data"]["splits"].values()
        assert sum(split["rows"] for split in splits) == len(rows) > 2
        yield Day(name, trained, rows, read_metadata(Path("runs/example/model")).columns.text)


def test_the_example_is_trained_and_scored(day: Day) -> None:
    best = day.trained.json["training"]["best"]
    assert set(day.trained.json["scores"]["validation"]) >= {best["score"]}
    assert Path("runs/example/report/index.html").is_file()


def test_the_example_is_predicted_and_evaluated(day: Day) -> None:
    predicted = bertune("predict", "runs/example", "example.jsonl").fine().lines
    assert len(predicted) == len(day.rows)
    for line, row in zip(predicted, day.rows, strict=True):
        assert {key: line.get(f"{key}_given", line.get(key)) for key in row} == row
    scores = bertune("evaluate", "runs/example", "example.jsonl", "--json").fine().json["scores"]
    assert day.trained.json["training"]["best"]["score"] in scores["example"]


def test_objects_on_stdin_are_predicted_like_a_file(day: Day) -> None:
    stdin = "".join(json.dumps(dict(zip(day.text, texts, strict=True))) + "\n" for texts in day.inputs)
    of_file = bertune("predict", "runs/example", "example.jsonl").fine().lines
    piped = bertune("predict", "runs/example", "-", stdin=stdin).fine().lines
    said = set(plain_keys(day))
    assert [{key: line[key] for key in said} for line in piped] == [
        {key: line[key] for key in said} for line in of_file
    ]


def plain_keys(day: Day) -> list[str]:
    (prediction,) = api.predict("runs/example", [dict(zip(day.text, day.inputs[0], strict=True))])
    return list(plain(prediction))


def test_lines_on_stdin_are_texts_with_tabs_between(day: Day) -> None:
    """Words are joined to one line, choices are a JSON list, and one text is sufficient for a vector."""
    cells = [[as_cell(text, len(day.text)) for text in texts] for texts in day.inputs]
    if api.load("runs/example")._inputs.line_columns != day.text:
        cells = [texts[:1] for texts in cells]
    stdin = "".join("\t".join(texts) + "\n" for texts in cells)
    piped = bertune("predict", "runs/example", "-", stdin=stdin).fine().lines
    assert len(piped) == len(day.rows)
    assert all(line[key] is not None for line in piped for key in plain_keys(day)[:1] if day.name != "qa")


def as_cell(text: Any, num_texts: int) -> str:
    if isinstance(text, str):
        return text
    return " ".join(text) if num_texts == 1 else json.dumps(text)


def test_a_list_in_python_is_predicted_like_a_file(day: Day) -> None:
    model = api.load("runs/example")
    items = [texts[0] if len(texts) == 1 else texts for texts in day.inputs]
    of_file = api.predict(model, "example.jsonl")
    assert [plain(p) for p in model.predict(items)] == [plain(p) for p in of_file]


def test_too_few_texts_in_a_line_are_an_error_with_the_expected_format(day: Day) -> None:
    if len(day.text) == 1 or api.load("runs/example")._inputs.line_columns != day.text:
        pytest.skip("one text is all there is to give")
    refused = bertune("predict", "runs/example", "-", stdin="only one text\n")
    assert refused.code == 3
    assert f"expected {len(day.text)} texts separated by tabs ({', '.join(day.text)})" in refused.err


def test_a_list_of_objects_on_stdin_is_not_read_as_texts(day: Day) -> None:
    refused = bertune("predict", "runs/example", "-", stdin=json.dumps(day.rows))
    assert refused.code == 3 and refused.out == ""
    assert "<stdin>, line 1: found a list of objects, expected one object per line" in refused.err
