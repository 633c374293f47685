"""Quality gates on calibration and over folds, and the decision rule of a refitted model."""

import json
import shutil
from pathlib import Path

import bertune as bt
from tiny import QUICK, bertune, reviews, write_csv


def test_a_refitted_model_has_the_rule_of_its_own_predictions_and_gates_limit_its_calibration(
    encoder: Path, tmp_path: Path
) -> None:
    """The rule of the first model would not be a guarantee for the one that is saved."""
    for name, count in (("train", 80), ("validation", 60), ("calibration", 240), ("test", 60)):
        write_csv(tmp_path / f"{name}.csv", reviews(count, seed=count))
    out = tmp_path / "run"
    decide = ("decide.max_error=0.4", "decide.confidence=0.6")
    files = [f"data.{name}={tmp_path / name}.csv" for name in ("validation", "calibration", "test")]
    said = bertune(
        "train", tmp_path / "train.csv", *files, f"model.name={encoder}", *QUICK, "train.refit=true", *decide,
        "gate.ece=0", "gate.brier=2", "--out", out,
    )  # fmt: skip
    assert said.code == 5
    assert "1 of 2 quality gates failed: ece 0." in said.err and "at most 0 required" in said.err
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["gates"][0]["value"] == manifest["calibration"]["after"]["ece"]
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert "Quality gates" in page and manifest["decision"]["sentence"].partition(":")[0] in page
    assert "which neither model was trained on" in page
    saved = bt.load(out).fitted
    assert manifest["calibration"]["temperatures"] == list(saved.calibration.temperatures)
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    own = {"decide.max_error": 0.4, "decide.confidence": 0.6, "machine.threads": 1}
    again = bt.decide(copy, tmp_path / "calibration.csv", settings=own).model.fitted
    assert saved.calibration.temperatures == again.calibration.temperatures
    assert saved.rule == again.rule
    assert bertune("train", out, "--resume", "gate.ece=1", "gate.brier=2").code == 0
    failed = bertune("train", out, "--resume", "gate.accuracy=1.1")
    assert failed.code == 5 and "at least 1.1 required" in failed.err
    checked = bertune("evaluate", out, tmp_path / "test.csv", "gate.ece=0", "gate.brier=2", "--json")
    assert checked.code == 5
    assert [gate["passed"] for gate in checked.json["gates"]] == [False, True]
    assert checked.json["calibration"]["ece"] == checked.json["gates"][0]["value"]


def test_a_gate_of_a_cross_validation_is_on_the_mean_over_the_folds(encoder: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "data.csv", reviews(60))
    given = ("cross_validate.folds=2", f"model.name={encoder}", "gate.accuracy=1.1", "gate.ece=1")
    said = bertune("cross-validate", data, *given, *QUICK, "--out", tmp_path / "folds")
    assert said.code == 5
    record = json.loads((tmp_path / "folds" / "cross-validation.json").read_text())
    failed, passed = record["gates"]
    assert (failed["passed"], passed["passed"]) == (False, True)
    assert failed["value"] == record["scores"]["accuracy"]["mean"]
    assert "on average over 2 folds, at least 1.1 required" in said.err
    assert "Quality gates" in (tmp_path / "folds" / "report" / "index.html").read_text(encoding="utf-8")
