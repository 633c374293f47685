"""Dropping copies of training rows before the split: what is kept, recorded and exported."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune import api
from bertune.errors import DataError, MissingPackageError
from bertune.export.validation import validation_rows
from bertune.optional_packages import require
from bertune.reporting.write import write_report
from bertune.training.preparing import Prepared
from tiny import reviews, write_csv
from trainings import train

Settings = Callable[..., dict[str, Any]]
ROWS = reviews(60)


def kept(prepared: Prepared) -> list[str]:
    """The texts of the training table that are in training or validation, in the order of the file."""
    splits = [prepared.splits[name].examples for name in ("train", "validation")]
    rows = [e for split in splits for e in split if e.origin.file.endswith("train.csv")]
    return [e.texts[0] for e in sorted(rows, key=lambda e: e.origin.line)]


def write(folder: Path, name: str, rows: list[tuple[str, str]]) -> str:
    return str(write_csv(folder / name, rows))


@pytest.fixture
def train_csv(tmp_path: Path) -> str:
    """60 reviews, 4 exact copies of which one has another label, and 2 near copies."""
    copies = [ROWS[0], ROWS[0], ROWS[1], (ROWS[2][0], "bad")]
    near = [(ROWS[4][0].upper(), "good"), (ROWS[5][0].replace(" ", "  "), "bad")]
    return write(tmp_path, "train.csv", [*ROWS, *copies, *near])


def test_nothing_is_dropped_by_default(train_csv: str, settings: Settings) -> None:
    found = api.check(train_csv, settings=settings())
    assert len(kept(found)) == 66
    assert "dropped" not in found.audit["data"]


def test_exact_repeats_are_dropped_before_the_split(train_csv: str, settings: Settings) -> None:
    found = api.check(train_csv, settings=settings(**{"data.deduplicate": True}))
    assert kept(found) == [text for text, _ in ROWS] + [ROWS[4][0].upper(), ROWS[5][0].replace(" ", "  ")]
    assert found.audit["data"]["dropped"] == {"deduplicate": 4, "near_duplicates": 0}
    assert found.audit["data"]["shared_texts"] == {"train/validation": 0}
    (note,) = [note for note in found.notes if note.startswith("dropped")]
    assert note == (
        "dropped 4 of 66 training rows (exact duplicates); 1 has a different label from the training row "
        "that it repeats"
    )


def test_near_repeats_are_dropped_too(train_csv: str, settings: Settings) -> None:
    found = api.check(train_csv, settings=settings(**{"data.near_duplicates": "drop"}))
    texts = kept(found)
    assert found.audit["data"]["dropped"]["deduplicate"] == 4
    assert found.audit["data"]["dropped"]["near_duplicates"] == 66 - 4 - len(texts) >= 2
    kinds = {finding.kind for finding in found.findings}
    assert not kinds & {"near_duplicates", "near_duplicates_across", "exact_duplicates_across"}


def test_training_rows_that_repeat_evaluated_rows_are_dropped(
    train_csv: str, tmp_path: Path, settings: Settings
) -> None:
    test = write(tmp_path, "test.csv", [ROWS[7], (ROWS[8][0].title(), "good"), *reviews(12, seed=9)])
    changes = {"data.test": test, "data.deduplicate": True}
    texts = kept(api.check(train_csv, settings=settings(**changes)))
    assert ROWS[7][0] not in texts and ROWS[8][0] in texts
    found = api.check(train_csv, settings=settings(**changes, **{"data.near_duplicates": "drop"}))
    assert not {ROWS[7][0], ROWS[8][0]} & set(kept(found))
    assert found.audit["data"]["splits"]["test"]["rows"] == 14
    assert any("repeat a row of the validation or test data" in note for note in found.notes)


def test_other_columns_stay_with_their_rows(tmp_path: Path, settings: Settings) -> None:
    rows = [(text, label, f"{label}-shop") for text, label in reviews(240)]
    path = write_csv(tmp_path / "train.csv", [*rows[:5], *rows], "text,label,source")
    found = api.check(str(path), settings=settings(**{"data.deduplicate": True}))
    assert found.audit["data"]["dropped"]["deduplicate"] == 5
    assert [f.kind for f in found.findings if "source" in f.message] == ["label_column_cue"]


def test_a_training_file_of_copies_is_refused(train_csv: str, settings: Settings) -> None:
    with pytest.raises(DataError, match=r"train.csv: every training row repeats a row of the validation or"):
        api.check(train_csv, settings=settings(**{"data.validation": train_csv, "data.deduplicate": True}))


def test_training_works_without_the_search_of_long_texts(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    require("train", "to train a model")
    long = " ".join(f"word{number}" for number in range(70))
    path = write(tmp_path, "train.csv", [*ROWS, (long, "good"), (f"{long} again", "good")])
    changes = {"model.max_length": 16}
    kinds = [finding.kind for finding in api.check(path, settings=settings(**changes)).findings]
    assert "near_duplicates_not_searched" in kinds
    changes |= {"data.deduplicate": True}
    assert len(kept(api.check(path, settings=settings(**changes)))) == 62
    changes |= {"data.near_duplicates": "drop"}
    with pytest.raises(MissingPackageError, match="rensa is needed to find near duplicates of long texts"):
        api.check(path, settings=settings(**changes))


def test_a_run_records_the_audit_and_exports_the_rows_it_kept(
    train_csv: str, tmp_path: Path, settings: Settings
) -> None:
    test = write(tmp_path, "test.csv", [ROWS[7], *reviews(12, seed=9)])
    changes = {"data.test": test, "data.deduplicate": True, "train.epochs": 1}
    run, _ = train(train_csv, tmp_path / "run", settings(**changes))
    data = run.record.data
    assert data is not None and data.dropped == {"deduplicate": 5, "near_duplicates": 0}
    (near, *_) = [finding for finding in data.findings or [] if finding.kind and "near" in finding.kind]
    assert near.rows and "train.csv, line" in near.rows[0]["place"]
    page = (write_report(run).parent / "index.html").read_text(encoding="utf-8")
    assert "Audit of the data" in page and near.message is not None and near.message in page
    lines = (run.path / "predictions" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(validation_rows(run, {}).rows) == len(lines)
