"""The quality comparison: paired differences, verdicts, and the page."""

import importlib
import json
import math
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


@pytest.fixture(scope="module", autouse=True)
def benchmarks_on_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture
def page() -> ModuleType:
    """benchmarks/quality_page.py as a module."""
    return importlib.import_module("quality_page")


def runs(side: str, *values: float) -> dict[int, dict[str, Any]]:
    return {
        seed: {
            "task": "conll2003",
            "side": side,
            "scores": {"validation": {"f1": value}},
            "machine": {"cpu": "A Processor", "cores": 2, "system": "Linux"},
            "versions": {"torch": "2.13.0"},
            "threads": 1,
            "load_average_after": 1.5,
        }
        for seed, value in enumerate(values, 1)
    }


def test_differences_are_paired_by_seed_with_a_t_interval(page: ModuleType) -> None:
    difference = page.paired_difference({1: 0.5, 2: 0.6, 3: 0.9}, {3: 0.7, 2: 0.5, 1: 0.5, 4: 1.0})
    assert difference.count == 3 and difference.mean == pytest.approx(-0.1)
    assert difference.deviation == pytest.approx(0.1)
    assert difference.half_interval == pytest.approx(4.302653 * 0.1 / math.sqrt(3))
    assert page.paired_difference({1: 0.5, 2: 0.6}, {1: 0.5}) is None


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (
            (0.40, 0.41, 0.42),
            "bertune is below HF Trainer by more than the spread on validation.f1 (3 paired",
        ),
        (
            (0.79, 0.83, 0.78),
            "bertune is not below HF Trainer by more than the spread on any score (3 paired",
        ),
        ((0.40,), "no verdict, fewer than two seeds"),
        ((), "no verdict, bertune without results yet"),
    ],
)
def test_the_verdict_considers_the_whole_interval(
    page: ModuleType, ours: tuple[float, ...], verdict: str
) -> None:
    found = {
        ("conll2003", "hf"): runs("hf", 0.80, 0.81, 0.82),
        ("conll2003", "bertune"): runs("bertune", *ours),
    }
    text = page.table(found)
    assert f"conll2003: {verdict}" in text
    row = next(line for line in text.splitlines() if line.startswith("| [conll2003]"))
    assert row.endswith(
        {3: "| yes |" if min(ours, default=1) < 0.5 else "| no |"}.get(len(ours), "| unknown |")
    )
    assert "A Processor, 2 cores, Linux, 1 thread per run\n" in text


def test_both_sides_have_the_same_recipe() -> None:
    tasks = importlib.import_module("quality_tasks").TASKS
    assert {task.kind for task in tasks.values()} == set(importlib.import_module("quality_tasks").KINDS)
    for task in tasks.values():
        assert (BENCHMARKS / "peers" / f"{task.peer}.py").is_file()
        if task.recipe is None:
            continue
        peers = json.loads(task.recipe.as_json())
        ours = dict(pair.split("=", 1) for pair in (*task.recipe.overrides(), *task.overrides))
        for theirs, name in (
            ("epochs", "train.epochs"),
            ("batch_size", "train.batch_size"),
            ("lr", "train.lr"),
        ):
            assert float(ours[name]) == peers[theirs]
        for theirs, name in (("max_length", "model.max_length"), ("stride", "task.stride")):
            assert ours.get(name, "None") == str(peers.get(theirs))
        assert ours.get("task.loss") == peers.get("loss")


def test_the_page_matches_the_stored_results() -> None:
    found = importlib.import_module("quality").page(BENCHMARKS / "results" / "quality")
    written = (BENCHMARKS / "quality.md").read_text(encoding="utf-8")
    assert written == found, "out of date; run python benchmarks/quality.py --sides"


def test_page_and_results_contain_no_local_paths() -> None:
    for path in [BENCHMARKS / "quality.md", *sorted((BENCHMARKS / "results" / "quality").glob("*.json"))]:
        text = path.read_text(encoding="utf-8")
        for folder in (Path.home(), ROOT, sys.prefix, sys.base_prefix, tempfile.gettempdir(), DATA or ROOT):
            assert str(folder) not in text, f"{path.name}: {folder}"


@pytest.mark.skipif(not DATA, reason="BERTUNE_DATA is not set to a folder with the real data sets")
def test_held_out_questions_are_not_in_the_training_part(tmp_path: Path) -> None:
    tasks, slices = (importlib.import_module(name) for name in ("quality_tasks", "slices"))
    parts = tasks.TASKS["tydiqa_en"].parts
    files = [slices.place(part, Path(str(DATA)), tmp_path, split) for split, part in parts.items()]
    asked = [
        {
            (question["question"], paragraph["context"])
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        }
        for path in files
    ]
    assert [len(found) for found in asked] == [300, 200] and not asked[0] & asked[1]
