"""The error analysis of a run on SST-2 with planted wrong labels."""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import average_precision_score

import bertune as bt
from bertune.files import read_object
from bertune.run import Run
from bertune.settings import parse_overrides
from small_texts import write_csv

WRONG = 12  # of 240 test sentences: 5%


@pytest.fixture(scope="module")
def planted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, set[str]]:
    """A run on 1,200 sentences, and the test sentences that have the wrong label. Read only."""
    folder = tmp_path_factory.mktemp("planted")
    train, dev = (
        [line.split("\t") for line in (data / "sst2" / name).read_text("utf-8").splitlines()[1:]]
        for name in ("train.tsv", "dev.tsv")
    )
    draw = random.Random(0)
    test = draw.sample(dev, 240)
    wrong = set(draw.sample(range(240), WRONG))
    given = [
        (text, {"0": "1", "1": "0"}[gold] if at in wrong else gold) for at, (text, gold) in enumerate(test)
    ]
    long = [row for row in train if len(row[0].split()) >= 8][:1200]  # whole sentences, as in the dev split
    names = ("sentence", "label")
    settings = {
        "data.test": str(write_csv(folder / "test.csv", names, given)),
        "model.name": "minilm",
        "train.epochs": 1,
        "train.freeze": 2,
        "train.lr": 3e-4,
        "train.baselines": False,
        "machine.threads": 1,
    }
    source = write_csv(folder / "train.csv", names, long)
    return bt.train(str(source), settings=settings, out=folder / "run"), {test[at][0] for at in wrong}


def corrections(run: Run) -> list[dict[str, str]]:
    with (run.path / "label-errors" / "test.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_planted_label_errors_are_listed_first(planted: tuple[Run, set[str]]) -> None:
    run, wrong = planted
    rows = corrections(run)
    is_planted = [row["sentence"] in wrong for row in rows]
    assert sum(is_planted) == WRONG and len(rows) == 240
    assert all(is_planted[:3])
    precision = average_precision_score(is_planted, [-at for at in range(240)])
    assert precision >= 0.5, "ten times as high as at random"
    listed = [row["sentence"] in wrong for row in rows if row["likely_error"] == "true"]
    assert sum(listed) >= 8 and len(listed) < 80


def test_the_corrected_file_can_be_trained_from(
    planted: tuple[Run, set[str]], settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run, wrong = planted
    rows = corrections(run)
    given = {row["sentence"]: row["label"] for row in rows}
    for row in rows:
        if row["sentence"] in wrong and row["likely_error"] == "true":
            row["label"] = row["suggested_label"]
    path = tmp_path / "corrected.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    recorded = read_object(run.path / "predictions" / "test.label-errors.json")["settings"]
    again = bt.train(
        str(path), settings=settings(**parse_overrides(recorded), **{"train.epochs": 1}), out=tmp_path / "run"
    )
    splits = again.manifest["data"]["splits"]
    assert sum(split["rows"] for split in splits.values()) == 240
    changed = [row for row in rows if row["label"] != given[row["sentence"]]]
    assert len(changed) >= 8
    counts = [split["labels"] for split in splits.values()]
    assert sum(one.get("1", 0) for one in counts) == sum(row["label"] == "1" for row in rows)


def test_slices_and_explanations_are_recorded_for_the_report(planted: tuple[Run, set[str]]) -> None:
    run, wrong = planted
    slices = run.manifest["slices"]["test"]["slices"]
    assert {one["kind"] for one in slices} >= {"length", "label"}
    assert sum(one["rows"] for one in slices if one["kind"] == "label") == 240
    recorded = read_object(run.path / "predictions" / "test.mistakes.json")
    shown = recorded["shown"]
    assert {text for one in shown for text in (p["text"] for p in one["passages"])} & wrong
    explained = [one["explanation"] for one in shown if one.get("explanation")]
    assert len(explained) >= 10
    for one in explained:
        total = sum(contribution for _, _, _, contribution in one["words"])
        assert total == pytest.approx(one["value"] - one["baseline"], abs=0.1)
    page = (run.path / "report" / "index.html").read_text(encoding="utf-8")
    assert 'id="slices"' in page and "Shaded words" in page
