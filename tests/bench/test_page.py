"""The benchmark page shows all stored results, including those where bertune loses."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"

SUMMARY = {"median": 100.0, "low": 90.0, "high": 110.0, "count": 3}
RATIO = {"median": 2.0, "low": 1.5, "high": 2.5, "count": 3, "best": 2.25, "rounds": {"1": 2.0}}
PROCESS = {"process_wall_seconds": 9.0, "process_cpu_seconds": 17.5, "process_peak_rss_mb": 1234.4}


def share(value: float) -> dict[str, float]:
    return {"median": value, "low": value - 0.1, "high": value + 0.1, "count": 3}


def result(**changes: Any) -> dict[str, Any]:
    """A stored result with a reached target, a missed target and a failed contestant."""
    return {
        "name": "cola",
        "title": "Fine-tuning",
        "about": "CoLA",
        "metric": "examples_per_second",
        "targets": {"tutorial": 1.5, "best": 3},
        "floor_target": 0.45,
        "measured": "2026-01-02",
        "machine": {"cpu": "A Processor", "cores": 2, "system": "Linux x86_64"},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "contestants": {
            "bertune": {"title": "bertune", "examples_per_second": SUMMARY, "padding_waste": 0.0, **PROCESS},
            "tutorial": {
                "title": "Tutorial",
                "examples_per_second": SUMMARY,
                "padding_waste": 0.81,
                **PROCESS,
            },
            "best": {"title": "Best", "examples_per_second": SUMMARY, "padding_waste": 0.05, **PROCESS},
            "compile": {"title": "Compiled", "error": "exit code 1: no | compiler"},
        },
        "ratios": {"tutorial": RATIO, "best": RATIO},
        "floor": {
            "updated": share(0.3),
            "all": share(0.5),
            "arithmetic": share(0.2),
            "executed": share(0.2),
            "peaks": {"square_flops": 2e12, "shapes_flops": 1e12, "copy_bytes": 2e10, "triad_bytes": 2.5e10},
            "flops_per_step": 22e9,
            "parameters": {"trained_parameters": 100, "updated_parameters": 60, "used_ids": 5},
        },
        "agreement": {},
        "flagged_rounds": [2],
        "rounds": [{}, {}, {}],
        **changes,
    }


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """benchmarks/page.py as a module."""
    spec = importlib.util.spec_from_file_location("benchmarks_page", BENCHMARKS / "page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missed_and_reached_targets_are_shown(page: ModuleType) -> None:
    text = page.render([result()], ["cola", "mrpc"])
    assert "| [cola](#cola) | Tutorial | 2.00x | 1.50 to 2.50 (3) | 2.25x | 1.5x | yes |" in text
    assert "| [cola](#cola) | Best | 2.00x | 1.50 to 2.50 (3) | 2.25x | 3x | no |" in text
    assert "| cola | 30.0% (20.0% to 40.0%) | 50.0% (40.0% to 60.0%) | 45% | no |" in text
    assert "Not measured yet: mrpc." in text
    assert "Flagged rounds: 1 of 3." in text


def test_a_failed_contestant_is_shown(page: ModuleType) -> None:
    text = page.render([result()], ["cola"])
    assert "| [cola](#cola) | Compiled | failed |" in text
    assert "failed: exit code 1: no / compiler" in text


def test_padding_memory_and_intervals_are_shown(page: ModuleType) -> None:
    text = page.render([result()], ["cola"])
    assert "| Tutorial | 100.0 | 90.0 to 110.0 | 3 | 81.0% | 1,234 | 17.5 | 9.0 |" in text
    assert "A Processor, 2 cores" in text and "torch 2.13.0" in text and "make bench" in text


def test_less_memory_is_better(page: ModuleType) -> None:
    sides = {
        "bertune": {"title": "bertune", "peak_rss_mb": SUMMARY, **PROCESS},
        "best": {"title": "Best", "peak_rss_mb": SUMMARY, **PROCESS},
    }
    memory = result(
        name="memory", metric="peak_rss_mb", contestants=sides, targets={"best": 0.5}, floor=None,
        ratios={"best": {**RATIO, "median": 0.4}},
    )  # fmt: skip
    assert "| 0.5x or less | yes |" in page.render([memory], ["memory"])
    memory["ratios"]["best"]["median"] = 0.6
    assert "| 0.5x or less | no |" in page.render([memory], ["memory"])


def test_the_page_in_the_documentation_matches_the_stored_results() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import run, json\n"
        "sys.stdout.write(json.dumps([run.page(), run.PAGE.read_text(encoding='utf-8')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered, written = json.loads(done.stdout)
    assert written == rendered, "out of date; run python benchmarks/run.py --render"


def test_page_and_results_contain_no_local_paths() -> None:
    stored = [ROOT / "docs" / "benchmarks.md", *sorted((BENCHMARKS / "results" / "speed").glob("*.json"))]
    for path in stored:
        text = path.read_text(encoding="utf-8")
        for folder in (Path.home(), ROOT, sys.prefix, sys.base_prefix, tempfile.gettempdir()):
            assert str(folder) not in text, f"{path.name}: {folder}"
