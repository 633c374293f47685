"""The section on the exports of a run."""

import json
from pathlib import Path
from typing import Any

import fake_runs
import pytest
from page_reader import Page

from bertune.errors import DamagedError
from bertune.reporting.write import write_report
from bertune.run import Run


def parity(name: str, **changes: Any) -> dict[str, Any]:
    """The comparison of an export with a model whose MCC is 0.41."""
    return {
        "format": name,
        "rows": 200,
        "largest_difference": 0.123456,
        "flips": 3,
        "primary": "mcc",
        "scores": {"f1": {"model": 0.75, "export": 0.745}, "mcc": {"model": 0.41, "export": 0.4051}},
        "speed": {
            "model": {"rows_per_second": 150.0, "milliseconds_per_row": 12.5, "precision": "bf16"},
            "export": {"rows_per_second": 401.0, "milliseconds_per_row": 3.25, "precision": "int8"},
        },
        "size_mb": {"model": 90.9, "export": 23.0},
        **changes,
    }


def page_of(run: Run, **parities: dict[str, Any]) -> Page:
    """The page of a run with exports in these folders."""
    for folder, content in parities.items():
        (run.path / "export" / folder).mkdir(parents=True)
        (run.path / "export" / folder / "parity.json").write_text(json.dumps(content), encoding="utf-8")
    return Page(write_report(run).read_text(encoding="utf-8"))


def section(page: Page) -> str:
    [found] = [e for e in page.elements if e.tag == "section" and e.attributes.get("id") == "exports"]
    return " ".join(found.text.split())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made: Run = fake_runs.binary(tmp_path / "run")
    return made


def test_a_run_without_exports_has_no_such_section(run: Run) -> None:
    page = page_of(run)
    assert "Exports" not in page.text
    assert all(e.attributes.get("href") != "#exports" for e in page.all("a"))


def test_each_export_is_a_row_beside_the_trained_model(run: Run) -> None:
    full = parity("onnx", flips=0, largest_difference=2e-7, size_mb={"model": 90.9, "export": 91.2})
    parts = ["bert.encoder.layer.1.output.dense", "<b>"]
    page = page_of(run, full=full, int8=parity("onnx-int8", parts=29, parts_in_fp32=parts))
    text = section(page)
    assert "onnx 0.405 model 0.410 2e−07 0 0.0% 3.2 model 12.5 401 model 150 91.2 model 90.9" in text
    assert "onnx-int8 0.405 model 0.410 0.123 3 1.5%" in text
    assert "onnx-int8: These modules stay in fp32" in text
    assert "most: bert.encoder.layer.1.output.dense<b> All" in text, "two entries, and the second is escaped"
    assert "MCC 0.4100 0.4051 0.4051" in text and "F1 0.7500 0.7450 0.7450" in text


def test_an_export_that_is_quantized_entirely_says_so(run: Run) -> None:
    text = section(page_of(run, int8=parity("onnx-int8", parts=29, parts_in_fp32=[])))
    assert "All 29 parts of the network are quantized." in text


def test_long_lists_of_parts_are_shortened(run: Run) -> None:
    parts = [f"layer.{n}" for n in range(30)]
    text = section(page_of(run, int8=parity("onnx-int8", parts=60, parts_in_fp32=parts)))
    assert "layer.19" in text and "layer.20" not in text and "… 10 more in parity.json" in text


def test_undefined_scores_are_left_out(run: Run) -> None:
    scores = {"mcc": {"model": None, "export": None}, "f1": {"model": 0.5, "export": None}}
    text = section(page_of(run, onnx=parity("onnx", scores=scores)))
    assert "F1 0.5000 –" in text
    assert "MCC –" not in text.split("All scores")[1]


def test_a_damaged_comparison_is_an_error_with_its_path(run: Run) -> None:
    with pytest.raises(DamagedError, match=r"export/onnx/parity\.json is damaged: flips is 'three'"):
        page_of(run, onnx=parity("onnx", flips="three"))
