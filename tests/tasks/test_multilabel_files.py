"""The three ways to write several labels in a file, in every format, and what a trained model keeps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.tasks import make_task
from tiny import QUICK, bertune
from trainings import train

NAMES = ("anger", "joy", "fear")
GOLD = [("joy",), ("anger", "fear"), (), ("joy", "fear"), ("anger",), ()]
TEXTS = [f"it was {word} {i}" for i, word in enumerate(("great", "dull", "table", "quick", "slow", "box"))]

Table = list[dict[str, Any]]


def with_separator() -> Table:
    return [{"text": t, "labels": ", ".join(g)} for t, g in zip(TEXTS, GOLD, strict=True)]


def as_lists() -> Table:
    return [{"text": t, "labels": list(g)} for t, g in zip(TEXTS, GOLD, strict=True)]


def as_json() -> Table:
    return [{"text": t, "labels": json.dumps(g)} for t, g in zip(TEXTS, GOLD, strict=True)]


def as_python() -> Table:
    """Lists as pandas writes them to CSV."""
    return [{"text": t, "labels": str(list(g))} for t, g in zip(TEXTS, GOLD, strict=True)]


def as_columns() -> Table:
    return [{"text": t, **{name: int(name in g) for name in NAMES}} for t, g in zip(TEXTS, GOLD, strict=True)]


def as_numbers() -> Table:
    return [{"text": t, "labels": [NAMES.index(n) for n in g]} for t, g in zip(TEXTS, GOLD, strict=True)]


def write(folder: Path, rows: Table, suffix: str) -> Path:
    path, frame = folder / f"rows{suffix}", pd.DataFrame(rows)
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame.to_parquet(path)
    return path


@pytest.fixture
def learned(tiny_weights: Path) -> Callable[..., tuple[list[tuple[str, ...]], tuple[str, ...]]]:
    """The sorted gold labels of each training row, and the labels of the model."""

    def read(file: Path, **options: Any) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
        own = {f"task.{key}": value for key, value in options.items()}
        overrides = {"task.name": "multilabel", "model.name": str(tiny_weights), "data.validation": str(file)}
        found = api.check(file, settings={**overrides, **own})
        return [tuple(sorted(e.gold)) for e in found.splits["train"].examples], found.encoder.fitted.labels

    return read


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (with_separator, {}),
        (as_lists, {}),
        (as_json, {}),
        (as_python, {}),
        (as_columns, {"columns": "anger,joy,fear"}),
        (as_numbers, {"names": "anger,joy,fear"}),
    ],
)
def test_every_layout_gives_the_same_labels_in_every_format(
    make: Callable[[], Table], options: dict[str, Any], suffix: str, learned: Any, tmp_path: Path
) -> None:
    gold, labels = learned(write(tmp_path, make(), suffix), **options)
    assert gold == [tuple(sorted(g)) for g in GOLD]
    assert set(labels) == set(NAMES)
    assert labels == (NAMES if options else tuple(sorted(NAMES)))


def gold_of(value: Any) -> Any:
    columns = Columns(("text",), "labels", None)
    task = make_task(TaskConfig(name="multilabel"))
    return task.parse(Row({"text": "x", "labels": value}, Origin("a.csv", 7)), columns).gold


@pytest.mark.parametrize("value", ["['joy' 'fear', 'fun']", "[joy, fear]", "['joy'", "['joy'] and more"])
def test_an_ambiguous_or_invalid_list_is_refused(value: str) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 7: .* begins like a list or an object but cannot"):
        gold_of(value)


@pytest.mark.parametrize("value", [[["joy"]], [{"name": "joy"}], [None], "[null]", [1.5]])
def test_a_list_of_anything_except_names_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 7: .* is not a list of label names"):
        gold_of(value)


def test_missing_columns_are_named(learned: Any, tmp_path: Path) -> None:
    file = write(tmp_path, as_columns(), ".csv")
    with pytest.raises(
        DataError,
        match=r"none of the 6 rows has a label. Check that task.columns names the label columns .*: a, b",
    ):
        learned(file, columns="a,b")
    with pytest.raises(DataError, match=r'there is no column "feer"\. Did you mean "fear"'):
        learned(file, columns="joy,feer")


@pytest.fixture(scope="module")
def folder(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: on label numbers with a file of names, which no longer exists, and on label columns."""
    folder = tmp_path_factory.mktemp("multilabel")
    numbers, columns = write(folder, as_numbers(), ".jsonl"), write(folder, as_columns(), ".csv")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    base = {"task.name": "multilabel", "model.name": str(tiny_weights), "train.epochs": 1}
    by_file = {**base, "task.label_file": str(folder / "names.txt"), "data.validation": str(numbers)}
    by_column = {**base, "task.columns": list(NAMES), "data.validation": str(columns)}
    train(numbers, folder / "numbers", by_file)
    train(columns, folder / "columns", by_column)
    (folder / "names.txt").unlink()
    return folder


def test_a_model_keeps_its_label_names_without_the_file(folder: Path) -> None:
    found = bertune("predict", folder / "numbers", "-", stdin="great phone\n").fine().lines[0]
    assert tuple(found["probabilities"]) == NAMES
    scores = bertune("evaluate", folder / "numbers", folder / "rows.jsonl", "--json").fine().json["scores"]
    stored = json.loads((folder / "numbers" / "manifest.json").read_text())["scores"]["validation"]
    assert scores["rows"]["map"] == pytest.approx(stored["map"])


def test_a_label_file_is_relative_to_the_settings_file_and_found_on_resuming(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    write(project, as_numbers(), ".jsonl")
    (project / "names.txt").write_text("\n".join(NAMES) + "\n")
    (project / "mine.toml").write_text(
        '[data]\ntrain = "rows.jsonl"\n[task]\nname = "multilabel"\nlabel_file = "names.txt"\n'
    )
    monkeypatch.chdir(tmp_path)
    bertune("train", "project/mine.toml", f"model.name={tiny_weights}", *QUICK, "--out", "run").fine()
    monkeypatch.chdir(elsewhere)
    bertune("train", "../run", "--resume").fine()
    found = bertune("predict", "../run", "-", stdin="great phone\n").fine().lines[0]
    assert tuple(found["probabilities"]) == NAMES


def test_label_columns_are_not_read_in_prediction(folder: Path, tmp_path: Path) -> None:
    rows = [{**row, "joy": -1} for row in as_columns()]
    for number, columns in enumerate((["text", *NAMES], ["text", "joy"])):
        file = tmp_path / f"{number}.csv"
        pd.DataFrame(rows)[columns].to_csv(file, index=False)
        assert len(bertune("predict", folder / "columns", file).fine().lines) == len(TEXTS)


def test_a_test_file_that_cannot_be_scored_is_refused_before_training(
    tiny_weights: Path, tmp_path: Path
) -> None:
    good, bare = write(tmp_path, as_columns(), ".csv"), tmp_path / "bare.csv"
    pd.DataFrame(as_columns())[["text"]].to_csv(bare, index=False)
    said = bertune(
        "train", good, "task.name=multilabel", f"task.columns={','.join(NAMES)}", f"data.validation={good}",
        f"data.test={bare}", f"model.name={tiny_weights}", *QUICK, "--out", tmp_path / "run",
    )  # fmt: skip
    assert said.code == 3 and "bare.csv, line 2: none of the label columns" in " ".join(said.err.split())
    assert not (tmp_path / "run").exists()


def test_names_can_be_used_instead_of_indices(folder: Path) -> None:
    named = api.evaluate(folder / "numbers", as_lists())
    assert named.scores == api.evaluate(folder / "numbers", as_numbers()).scores


def test_a_file_without_label_columns_cannot_be_evaluated(folder: Path) -> None:
    with pytest.raises(DataError, match="none of the label columns anger, joy, fear exists"):
        api.evaluate(folder / "columns", [{"text": text} for text in TEXTS])
    assert len(api.predict(folder / "columns", TEXTS)) == 6


def test_the_threshold_of_a_trained_model_can_be_changed(folder: Path) -> None:
    text = ["great phone"]
    (every,) = api.predict(folder / "columns", text, settings={"task.threshold": 0.01})
    (none,) = api.predict(folder / "columns", text, settings={"task.threshold": 0.99})
    assert every.labels == list(NAMES) and none.labels == []
    assert every.probabilities == none.probabilities
    found = api.evaluate(folder / "columns", as_columns(), settings={"task.threshold": 0.01})
    assert found.scores["micro_recall"] == 1.0
    told = bertune("predict", folder / "columns", "-", "task.threshold=0.01", stdin="great\n").fine().lines
    assert told[0]["labels"] == list(NAMES)


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("task.threshold", 2, "task.threshold must be less than 1, got 2"),
        (
            "task.separator",
            ";",
            "task.separator was fixed .*. Only task.top_k, task.label_format, task.thresh",
        ),
        (
            "task.treshold",
            0.3,
            'unknown setting "task.treshold" for the task of this model. Did you mean "task.threshold"',
        ),
    ],
)
def test_other_options_of_a_trained_model_cannot_be_changed(
    folder: Path, option: str, value: Any, part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        api.load(folder / "columns", settings={option: value})


def test_names_in_two_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match="Set only one"):
        make_task(TaskConfig(name="multilabel", names="a,b", label_file=str(tmp_path / "names.txt")))


def test_several_label_columns_suggest_the_multilabel_task(tmp_path: Path) -> None:
    file = write(tmp_path, as_columns(), ".csv")
    with pytest.raises(DataError, match=r"set task\.name=multilabel task\.columns=joy,fear\."):
        api.check(file, settings={"data.label": "joy,fear"})
