"""The audit of real data sets: planted faults are found, and the wrong language of an encoder is reported."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from bertune import api

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["sst2", "chnsenticorp"])
def test_planted_copies_are_found(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    audit: Any = importlib.import_module("audit")
    faults: Any = importlib.import_module("audit_faults")
    rows = audit.read_rows(name)
    found = audit.measure(faults.planted(rows["train"], rows["test"], 7), set(), audit.DEFAULT)
    assert found["exact_recall"] == found["conflict_recall"] == found["group_recall"] == 1
    assert found["near_recall"] >= 0.95
    assert found["near_precision"] >= 0.9


def test_a_chinese_file_with_an_english_tokenizer_is_an_error(data: Path) -> None:
    settings = {"model.name": "minilm", "model.max_length": 64, "train.max_examples": 500}
    found = api.check("chnsenticorp", settings=settings)
    unknown = [finding for finding in found.findings if finding.kind == "unknown_tokens"]
    assert [(finding.split, finding.level) for finding in unknown] == [
        ("train", "error"),
        ("validation", "error"),
        ("calibration", "error"),
    ]
    assert "unknown to the tokenizer of minilm" in unknown[0].message


def test_ordinary_words_of_reviews_are_no_cues(data: Path) -> None:
    settings = {"model.name": "minilm", "model.max_length": 16}
    found = api.check("sst2", settings={**settings, "train.max_examples": 20_000})
    assert not [finding for finding in found.findings if finding.kind.endswith("_cue")]
