"""The settings that divide the rows of a source, and the splits written as files."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from bertune.errors import ConfigError, DataError
from bertune.source import resolve_source
from bertune.training.preparing import Prepared, prepare
from bertune.training.reading import read
from bertune.training.splitting import split
from small_texts import labelled_texts

HEADER = ("text", "label", "user", "date", "part")
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Eighty rows of 20 users on 40 days; a tenth is assigned to dev and test each."""
    rows = [
        (text, label, f"u{i % 20}", f"{1 + i // 2 % 28:02}/{1 + i // 56:02}/2025", "dev" if i % 10 == 0 else
         "TEST" if i % 10 == 1 else "Train")
        for i, (text, label) in enumerate(labelled_texts(80))
    ]  # fmt: skip
    return written(tmp_path / "reviews.csv", HEADER, rows)


def written(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def prepared(table: Path, settings: Make, **changes: Any) -> Prepared:
    return prepare(resolve_source(str(table), settings(**{f"data.{key}": v for key, v in changes.items()})))


def cells(table: Path, found: Prepared, column: str) -> dict[str, list[str]]:
    """The cells of a column in the rows of each split."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [rows[e.origin.line - 2][column] for e in part.examples] for name, part in found.splits.items()
    }


def test_no_group_is_in_two_splits(table: Path, settings: Make) -> None:
    found = prepared(table, settings, group="user", test_fraction=0.2)
    users = cells(table, found, "user")
    assert list(users) == ["train", "validation", "test"]
    assert len(set(users["train"])) + len(set(users["validation"])) + len(set(users["test"])) == 20
    assert any("in whole groups" in note for note in found.notes)
    record = found.audit["data"]["split"]
    assert (record["group"], record["fractions"]) == ("user", {"validation": 0.1, "test": 0.2})
    groups = found.splits["test"].groups
    assert len(set(groups)) == len(set(users["test"])) < len(groups)


def test_training_rows_come_first_in_time(table: Path, settings: Make) -> None:
    dates = cells(table, prepared(table, settings, time="date", test_fraction=0.2), "date")
    days = {name: [(d[3:5], d[:2]) for d in found] for name, found in dates.items()}
    assert max(days["train"]) < min(days["validation"])
    assert max(days["validation"]) < min(days["test"])


def test_a_column_assigns_the_rows_by_usual_names(table: Path, settings: Make) -> None:
    found = prepared(table, settings, split_column="part", group="user")
    parts = cells(table, found, "part")
    assert {name: set(values) for name, values in parts.items()} == {
        "train": {"Train"}, "validation": {"dev"}, "test": {"TEST"}
    }  # fmt: skip
    assert found.audit["data"]["split"]["how"]["test"] == "data.split_column"


def test_groups_that_the_column_divides_are_reported(tmp_path: Path, settings: Make) -> None:
    rows = [
        (text, label, "anna" if i in (1, 9) else f"u{i}", "train" if i > 8 else "val")
        for i, (text, label) in enumerate(labelled_texts(40))
    ]
    table = written(tmp_path / "reviews.csv", ("text", "label", "user", "part"), rows)
    found = prepared(table, settings, split_column="part", group="user")
    [finding] = [f for f in found.findings if f.kind == "straddling_groups"]
    assert finding.values["groups"] == 1
    assert any("belong" in text and "group" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"group": "usr"}, DataError, r'no column "usr" \(data\.group=usr\)\. Did you mean "user"'),
        ({"split_column": "user"}, DataError, r'reviews\.csv, line 2: "u0" in column "user"'),
        ({"time": "user"}, DataError, r'reviews\.csv, line 2: "u0" in column "user" \(data\.time\)'),
        ({"split_column": "part", "test_fraction": 0.1}, ConfigError, r"there is a test split already"),
        ({"split_column": "part", "time": "date"}, ConfigError, r"data\.time also splits the rows"),
        ({"test_fraction": 0.9}, ConfigError, r"leave no rows for training"),
    ],
)
def test_wrong_settings_say_what_to_do(
    table: Path, settings: Make, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        prepared(table, settings, **changes)


def test_fold_numbers_belong_to_cross_validation(tmp_path: Path, settings: Make) -> None:
    rows = [(text, label, i % 3) for i, (text, label) in enumerate(labelled_texts(30))]
    table = written(tmp_path / "r.csv", ("text", "label", "fold"), rows)
    with pytest.raises(ConfigError, match="holds fold numbers"):
        prepared(table, settings, split_column="fold")


def test_multi_label_rows_are_stratified(tmp_path: Path, settings: Make) -> None:
    rows = [(text, "a,b" if i % 10 == 0 else "a") for i, (text, _) in enumerate(labelled_texts(100))]
    table = written(tmp_path / "r.csv", ("text", "labels"), rows)
    source = resolve_source(str(table), settings(**{"task.name": "multilabel", "data.test_fraction": 0.2}))
    found = split(read(source))
    counts = {
        name: sum("b" in (e.gold or ()) for e in examples) for name, examples in found.examples().items()
    }
    assert counts == {"train": 7, "validation": 1, "test": 2}
    assert any("stratified iteratively" in note for note in found.notes)


def test_written_splits_are_read_as_the_identical_splits(table: Path, settings: Make, tmp_path: Path) -> None:
    given = settings(**{"data.group": "user", "data.test_fraction": 0.2})
    before = bt.check(str(table), settings=given, out=tmp_path / "splits")
    after = prepare(resolve_source(str(tmp_path / "splits" / "settings.toml"), None))
    for name, part in before.splits.items():
        assert [(e.texts, e.gold) for e in after.splits[name].examples] == [
            (e.texts, e.gold) for e in part.examples
        ]
    assert after.config.train == before.config.train
    with (tmp_path / "splits" / "test.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == list(HEADER)
    with pytest.raises(bt.BertuneError, match="already exists"):
        bt.check(str(table), settings=given, out=tmp_path / "splits")


def test_nested_values_are_written_as_json_lines(tmp_path: Path, settings: Make) -> None:
    lines = [{"review": {"text": text}, "label": label, "weight": 3.0} for text, label in labelled_texts(30)]
    source = tmp_path / "r.jsonl"
    source.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    bt.check(str(source), settings=settings(**{"data.text": "review.text"}), out=tmp_path / "splits")
    written_lines = (tmp_path / "splits" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line) for line in written_lines]
    assert kept
    assert all(line in lines for line in kept)
