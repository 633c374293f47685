"""Folds and splits of published data sets: queries, contexts and documents stay on one side."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from bertune.source import resolve_source
from bertune.training.folds import make_folds
from bertune.training.reading import read
from bertune.training.splitting import split

# Data set, settings, and what must not be in two folds: the position of a text of the example, or a field.
SETS: dict[str, tuple[str, dict[str, Any], int | str]] = {
    "wikiqa": ("wikiqa", {}, 0),
    "wikiqa as classification": ("wikiqa", {"task.name": "classification", "data.group": "0"}, 0),
    "cord19": ("cord19", {"data.group": "query"}, 0),
    "squad": ("squad1_slice", {}, 1),
    "dream": ("dream", {}, "context"),
    "c3": ("c3", {}, "context"),
}


@pytest.mark.parametrize("name", SETS)
def test_no_query_context_or_document_is_in_two_folds(data: Path, name: str) -> None:
    source, settings, key = SETS[name]
    folds = make_folds(read(resolve_source(source, settings)))
    examples = folds.tables.examples["train"]
    found = defaultdict(set)
    for example, fold in zip(examples, folds.of_row[0], strict=True):
        value = getattr(example, key) if isinstance(key, str) else example.texts[key]
        found[value].add(fold)
    assert len(found) >= 5
    assert {len(numbers) for numbers in found.values()} == {1}
    sizes = [len(folds.held_out(1, fold)) for fold in range(1, 6)]
    assert max(sizes) <= max(1.2 * min(sizes), min(sizes) + 60)  # CORD-19: queries with 1 to 14 rows


def test_goemotions_is_stratified_by_all_labels(data: Path) -> None:
    """Each fold has a fifth of the rows of every label, to within a row for most of the 28 labels."""
    folds = make_folds(read(resolve_source("goemotions", {})))
    counts = [defaultdict(int) for _ in range(5)]
    for example, fold in zip(folds.tables.examples["train"], folds.of_row[0], strict=True):
        for label in example.gold:
            counts[(fold or 0) - 1][label] += 1
    assert len(counts[0]) == 28
    for label in counts[0]:
        values = [of_fold[label] for of_fold in counts]
        assert max(values) - min(values) <= 3, label


def test_a_published_file_is_split_by_group_into_three(data: Path) -> None:
    file = data / "wikiqa" / "train.txt"
    reading = {"data.text": "0,1", "data.label": "2", "data.header": False, "data.quoting": False}
    splits = split(read(resolve_source(str(file), {**reading, "data.group": "0", "data.test_fraction": 0.2})))
    queries = {name: {e.texts[0] for e in examples} for name, examples in splits.examples().items()}
    assert sum(map(len, queries.values())) == len(set.union(*queries.values())) > 2000
    rows = {name: len(examples) for name, examples in splits.examples().items()}
    assert rows["test"] == pytest.approx(0.2 * 20360, rel=0.02)
    positive = [
        sum(e.gold == "1" for e in examples) / len(examples) for examples in splits.examples().values()
    ]
    assert max(positive) - min(positive) < 0.005


def test_cord19_is_cross_validated_by_query(data: Path, settings: Any, tmp_path: Path) -> None:
    given = settings(**{"data.group": "query", "train.epochs": 1, "cross_validate.folds": 2})
    result = bt.cross_validate("cord19", settings=given, out=tmp_path / "cv")
    lines = list(result.predictions())
    assert len(lines) == 165
    folds = defaultdict(set)
    for line in lines:
        folds[line["text"][0]].add(line["fold"])
    assert {len(found) for found in folds.values()} == {1}
    assert (result.path / "report" / "index.html").is_file()
