"""Label errors, slices, explanations, the model card and comparisons, through the real command."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bertune.settings import parse_overrides
from bertune.source import resolve_source
from bertune.training.reading import read
from tiny import QUICK, bertune, reviews, write_csv
from trainings import train

FLIPPED = (5, 30, 61, 88)


@pytest.fixture(scope="module")
def folder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a and b, on test rows of which some labels are flipped."""
    folder = tmp_path_factory.mktemp("analysis")
    for name, count, seed in (("train.csv", 240, 1), ("test.csv", 120, 2)):
        rows = []
        for number, (text, label) in enumerate(reviews(count, seed)):
            is_flipped = name == "test.csv" and number in FLIPPED
            given = {"good": "bad", "bad": "good"}[label] if is_flipped else label
            rows.append((text, given, ("shop", "web")[number % 3 == 0], f"note {number}"))
        write_csv(folder / name, rows, "text,label,origin,note")
    settings = parse_overrides(
        [*QUICK, "train.explain=true", "train.epochs=10", "data.validation_fraction=0.2"]
    )
    settings |= {"data.test": str(folder / "test.csv"), "model.name": str(encoder)}
    # Without the report, which takes longer than the training.
    train(str(folder / "train.csv"), folder / "a", settings | {"train.seed": 1})
    train(
        str(folder / "train.csv"),
        folder / "b",
        settings | {"train.seed": 2, "train.explain": False, "train.epochs": 3},
    )
    return folder


def corrections(folder: Path) -> list[dict[str, str]]:
    with (folder / "a" / "label-errors" / "test.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "a" / "manifest.json").read_text(encoding="utf-8"))
    return found


def test_flipped_labels_are_listed_first_with_the_original_columns(folder: Path) -> None:
    rows = corrections(folder)
    assert len(rows) == 120
    assert list(rows[0]) == [
        "text", "label", "origin", "note",
        "given_label", "suggested_label", "label_score", "likely_error", "file", "line",
    ]  # fmt: skip
    first = [row for row in rows if row["likely_error"] == "true"]
    assert {f"note {number}" for number in FLIPPED} <= {row["note"] for row in first}
    assert len(first) < 12
    assert rows[: len(first)] == first
    for row in first:
        assert row["label"] == row["given_label"] != row["suggested_label"]
        original = Path(row["file"]).read_text(encoding="utf-8").splitlines()[int(row["line"]) - 1]
        assert original == f"{row['text']},{row['label']},{row['origin']},{row['note']}"


def test_the_file_of_label_errors_can_be_trained_from_as_it_is(folder: Path) -> None:
    path = folder / "a" / "label-errors" / "test.csv"
    examples = read(resolve_source(str(path), {})).examples["train"]
    original = read(resolve_source(str(folder / "test.csv"), {})).examples["train"]
    assert sorted((e.texts, e.gold) for e in examples) == sorted((e.texts, e.gold) for e in original)


def test_the_file_of_label_errors_may_be_changed(folder: Path) -> None:
    path = folder / "a" / "label-errors" / "test.csv"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    bertune("report", folder / "a").fine()


def test_slices_include_lengths_labels_and_the_source_column(folder: Path) -> None:
    found = manifest(folder)["slices"]["test"]
    assert found["score"] == "accuracy"
    kinds = {(one["kind"], one["name"]) for one in found["slices"]}
    assert {("origin", "web"), ("origin", "shop"), ("label", "good"), ("label", "bad")} <= kinds
    assert sum(one["rows"] for one in found["slices"] if one["kind"] == "length") == 120
    assert "note" not in {kind for kind, _ in kinds}


def test_errors_are_explained_by_words_that_add_up(folder: Path) -> None:
    path = folder / "a" / "predictions" / "test.mistakes.json"
    shown = json.loads(path.read_text(encoding="utf-8"))["shown"]
    explained = [one["explanation"] for one in shown if one["explanation"]]
    assert explained
    for one, error in zip(explained, shown, strict=False):
        (text,) = one["texts"]
        assert text == error["passages"][0]["text"]
        total = sum(word[3] for word in one["words"])
        change = one["value"] - one["baseline"]
        assert abs(total - change) <= 0.03 * max(abs(change), 0.1)
        assert " ".join(text[start:end] for _, start, end, _ in one["words"]) == text


def test_the_model_card_has_the_metadata_of_the_hub(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard.load(folder / "a" / "model" / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    values = {result.metric_type: result.metric_value for result in card.data.eval_results}
    recorded = manifest(folder)
    assert values["accuracy"] == pytest.approx(recorded["scores"]["test"]["accuracy"])
    low, high = recorded["intervals"]["test"]["scores"]["accuracy"]
    names = [result.metric_name for result in card.data.eval_results]
    assert f"accuracy (95% interval {low:.3f} to {high:.3f})" in names
    assert str(folder) not in card.content  # no paths of this machine


def test_several_runs_are_compared_in_one_page(folder: Path) -> None:
    path = Path(bertune("report", folder / "a", folder / "b").fine().out.strip())
    assert path == folder / "a" / "report" / "comparison.html"
    html = path.read_text(encoding="utf-8")
    assert "train.seed" in html  # a setting that differs
    assert "train.lr" not in html
    assert "p (adjusted)" in html
    out = folder / "page.html"
    bertune("report", folder / "a", folder / "b", "--out", out).fine()
    assert out.is_file()
    refused = bertune("report", folder / "a", folder / "b", "--out", out)
    assert (refused.code, "already exists" in refused.err) == (3, True)
    assert bertune("report", folder / "a", "--out", folder / "new.html").code == 3
