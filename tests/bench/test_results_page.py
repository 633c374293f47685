"""The page of results by task: published scores, limits on the data, agreement with the stored results."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="BERTUNE_DATA is not set to a folder with the real data sets"
)


@pytest.fixture(scope="module")
def by_task() -> Iterator[ModuleType]:
    """benchmarks/results_by_task.py as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("results_by_task")


def result(name: str, split: str, full: bool = False, **scores: float) -> dict[str, Any]:
    return {
        "set": name,
        "full": full,
        "scores": {split: scores},
        "rows": {"train": 1234, split: 567},
        "epochs": 1,
        "seconds": 61.2,
        "measured": "2026-01-02",
        "threads": 1,
        "machine": {"cpu": "A Processor", "cores": 2, "system": "Linux"},
        "versions": {"python": "3.11.7", "bertune": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
    }


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_score_is_shown_with_the_published_one(by_task: ModuleType) -> None:
    text = by_task.page(
        {
            "rte": result("rte", "validation", accuracy=0.6137),
            "imdb_words": result("imdb_words", "validation", perplexity=123.42),
        }
    )
    cells = row(text, "RTE")
    assert cells[3:8] == ["1,234 pairs, 1 epoch", "567 (held-out data)", "accuracy", "**61.4**", "68.8"]
    assert "MiniLM-L6-H384" in cells[8]
    assert row(text, "IMDB, masked tokens")[6] == "**123.4**"
    assert row(text, "STS-B")[6] == "no result yet"
    assert "A Processor, Linux, 1 thread of 2 cores" in text and "rte (2026-01-02, 61 s)" in text


def test_the_effect_of_a_limit_is_described_only_for_limited_runs(by_task: ModuleType) -> None:
    share = importlib.import_module("results_sets").SETS["dream"].share
    bounded = by_task.page({"dream": result("dream", "test", accuracy=0.4)})
    full = by_task.page({"dream": result("dream", "test", full=True, accuracy=0.6)})
    assert share in bounded and share not in full
    assert row(full, "DREAM")[3] == "1,234 questions, 1 epoch; *full*"


def test_a_full_result_takes_precedence_over_a_limited_one(by_task: ModuleType, tmp_path: Path) -> None:
    for full in (False, True):
        by_task.write_whole(by_task.result_path(tmp_path, "rte", full), {"full": full})
    assert by_task.load(tmp_path) == {"rte": {"full": True}}


def test_the_page_matches_the_stored_results(by_task: ModuleType) -> None:
    written = by_task.PAGE.read_text(encoding="utf-8")
    hint = "out of date; run python benchmarks/results_by_task.py --render"
    assert written == by_task.page(by_task.load(by_task.RESULTS)) + by_task.blocks(written), hint


def test_page_and_results_contain_no_local_paths(by_task: ModuleType) -> None:
    for path in [by_task.PAGE, *sorted(by_task.RESULTS.glob("*.json"))]:
        text = path.read_text(encoding="utf-8")
        for folder in (Path.home(), ROOT, sys.prefix, sys.base_prefix, tempfile.gettempdir(), DATA or ROOT):
            assert str(folder) not in text, f"{path.name}: {folder}"


def test_every_task_is_in_the_table() -> None:
    from bertune.registry import names

    sets = importlib.import_module("results_sets").SETS.values()
    listed = {pair.split("=")[1] for one in sets for pair in one.settings if pair.startswith("task.name=")}
    assert listed | {"classification"} == set(names("task"))


@needs_data
def test_every_file_of_the_table_exists() -> None:
    sets = importlib.import_module("results_sets").SETS.values()
    for part in (part for one in sets for part in one.parts.values()):
        assert (Path(str(DATA)) / part.path).is_file(), part.path


@needs_data
def test_a_data_set_is_trained_and_its_result_recorded(
    by_task: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trains the smallest Chinese data set, limited to a few sentences, with the real command."""
    from dataclasses import replace

    sets = importlib.import_module("results_sets").SETS
    few = {split: replace(part, stop=12) for split, part in sets["weibo_ner"].parts.items()}
    monkeypatch.setitem(sets, "weibo_ner", replace(sets["weibo_ner"], parts=few))
    found = by_task.run_one("weibo_ner", False, tmp_path)
    assert found["rows"] == {"train": 12, "validation": 12, "test": 12}
    assert 0 <= found["scores"]["test"]["f1"] <= 1
    assert "PART/train.bmes" in found["command"] and "model.name=ENCODER" in found["command"]
    assert str(tmp_path) not in found["command"] and str(DATA) not in found["command"]
