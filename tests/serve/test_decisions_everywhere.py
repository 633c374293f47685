"""A calibrated model with a decision rule gives the same probabilities and decisions wherever it is used."""

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Running, serving

import bertune as bt
from bertune import api
from bertune.errors import ConfigError
from bertune.metadata import update_decision
from bertune.metrics.calibration import Calibration
from bertune.metrics.decisions import DecisionRule
from tiny import bertune, reviews, write_csv
from tiny_exports import Exports, rows_of
from trainings import train

TEXTS = [text for text, _ in reviews(40, seed=9)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("decided")
    return {
        name: write_csv(folder / f"{name}.csv", reviews(count, seed))
        for name, count, seed in (
            ("train", 120, 1),
            ("validation", 400, 2),
            ("test", 100, 3),
            ("new", 300, 4),
        )
    }


@pytest.fixture(scope="module")
def run(files: dict[str, Path], tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a guarantee of at most 30% errors, which a tiny model can keep. Read only."""
    out = tmp_path_factory.mktemp("runs") / "decided"
    train(
        str(files["train"]),
        out,
        {
            "data.validation": str(files["validation"]),
            "data.test": str(files["test"]),
            "model.name": str(tiny_weights),
            "machine.precision": "fp32",
            "machine.threads": 1,
            "train.epochs": 4,
            "train.lr": 1e-3,
            "train.baselines": False,
            "train.explain": False,
            "decide.max_error": 0.3,
            "decide.confidence": 0.9,
        },
    )
    return out


@pytest.fixture(scope="module")
def decided(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another run with a temperature, and a rule that answers half of the texts. Read only."""
    copy = copied(exports.run("classification"), tmp_path_factory.mktemp("decided-later"))
    update_decision(copy, Calibration((3.0,)), None)
    lower, upper = sorted(bt.load(copy).predict_proba(TEXTS).max(axis=1))[19:21]
    update_decision(copy, Calibration((3.0,)), DecisionRule({"": float(lower + upper) / 2}))
    return copy


@pytest.fixture(scope="module")
def export(exports: Exports, decided: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX export of that run, with the same temperature and rule. Read only."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    shutil.copytree(exports.export("classification"), folder)
    fitted = bt.load(decided).fitted
    update_decision(folder, fitted.calibration, fitted.rule)
    return folder


@pytest.fixture(scope="module")
def service(run: Path) -> Iterator[Running]:
    with serving([run]) as found:
        yield found


def copied(run: Path, folder: Path) -> Path:
    """A copy of the model of a run, which gets rules of its own without a new report each time."""
    return Path(shutil.copytree(run / "model", folder / "model"))


def test_a_training_divides_the_validation_rows_and_records_both_parts(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    rows = {name: split["rows"] for name, split in manifest["data"]["splits"].items()}
    assert rows == {"train": 120, "validation": 200, "calibration": 200, "test": 100}
    assert set(manifest["scores"]) == {"validation", "test"}
    assert manifest["calibration"]["split"] == "test" and manifest["calibration"]["rows"] < 100
    assert manifest["decision"]["measured"]["answers"] == 100
    page = api.report(run).read_text(encoding="utf-8")
    assert manifest["decision"]["sentence"].partition(":")[0] in page
    assert "before temperature scaling" in page and "Error rate by share answered" in page


def test_probabilities_and_decisions_are_the_same_everywhere(
    run: Path, service: Running, files: dict[str, Path]
) -> None:
    model = bt.load(run, settings={"machine.precision": "fp32"})
    assert model.fitted.calibration is not None and model.fitted.calibration.temperatures != (1.0,)
    expected = model.predict(TEXTS)
    proba = model.predict_proba(TEXTS)
    decisions = [p.decision for p in expected]
    assert proba == pytest.approx(np.array([list(p.probabilities.values()) for p in expected]))
    assert set(decisions) <= {"answer", "review"}
    api.export(run, "safetensors")
    exported = bt.load(run / "export" / "safetensors")
    np.testing.assert_allclose(exported.predict_proba(TEXTS), proba, atol=1e-5)
    assert [p.decision for p in exported.predict(TEXTS)] == decisions
    with service.client() as client:
        rows = client.post("/models/decided/predict", json={"rows": TEXTS}).json()["predictions"]
    assert [row["decision"] for row in rows] == decisions
    served = np.array([list(row["probabilities"].values()) for row in rows])
    np.testing.assert_allclose(served, proba, atol=1e-5)
    stored = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    evaluated = model.evaluate(files["test"]).lines
    assert [line["decision"] for line in stored] == [line["decision"] for line in evaluated]
    for one, other in zip(stored, evaluated, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_a_graph_gives_the_probabilities_and_decisions_of_the_model(decided: Path, export: Path) -> None:
    model, graph = bt.load(decided, settings={"machine.precision": "fp32"}), bt.load(export)
    np.testing.assert_allclose(graph.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-5)
    decisions = [p.decision for p in model.predict(TEXTS)]
    assert [p.decision for p in graph.predict(TEXTS)] == decisions
    assert decisions.count("answer") == 20


def test_the_code_of_the_export_prints_calibrated_probabilities(export: Path) -> None:
    readme = (export / "README.md").read_text(encoding="utf-8")
    match = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert match is not None
    printed = io.StringIO()
    with contextlib.chdir(export), contextlib.redirect_stdout(printed):
        exec(compile(match[1], "README", "exec"), {})
    found = json.loads(printed.getvalue().splitlines()[1])
    texts = ["a text", "another text, which is longer"]
    np.testing.assert_allclose(found, bt.load(export).predict_proba(texts), atol=1e-5)


def test_systemone_and_the_metrics_report_decisions(service: Running, run: Path) -> None:
    expected = bt.load(run, settings={"machine.precision": "fp32"}).predict(TEXTS)
    client = service.client()
    for text, prediction in list(zip(TEXTS, expected, strict=True))[:6]:
        questions = {"tone": {"type": "choice", "criteria": {"good": None, "bad": None}}}
        body = {"model": "jev-latest", "state": text, "questions": questions}
        answer = client.post("/v1/systemone", json=body).json()["answers"]["tone"]
        assert (answer["choice"], answer["decision"]) == (prediction.label, prediction.decision)
    page = client.get("/metrics").text
    assert re.search(r'bertune_review_share\{model="decided"\} 0?\.?\d', page)
    assert "bertune_decisions_total" in page
    client.close()


def test_an_export_gets_a_rule_of_its_own_and_still_passes_its_verification(
    export: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "onnx"
    shutil.copytree(export, copy)
    found = bt.decide(copy, files["new"], settings={"decide.abstain_below": 0.6})
    assert "below 0.6 are marked for review" in found.sentence
    rule = bt.load(copy).fitted.rule
    assert rule is not None and rule.thresholds == {"": 0.6} and rule.max_error is None
    bertune("verify", copy).fine()


def test_the_command_fits_a_rule_after_training(run: Path, files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    done = bertune("decide", copy, files["new"], "decide.max_error=0.25", "--json").fine()
    assert done.json["decision"]["max_error"] == 0.25
    sentence = done.json["decision"]["sentence"]
    assert json.loads((copy / "manifest.json").read_text())["decision"]["sentence"] == sentence
    shown = bertune("evaluate", copy, files["test"]).fine()
    assert "without review" in shown.out
    predicted = bertune("predict", copy, files["new"], "--csv").fine()
    header, *lines = predicted.out.splitlines()
    assert header.split(",")[-1] == "decision"
    assert {line.split(",")[-1] for line in lines} <= {"answer", "review"}
    bertune("report", copy).fine()


def test_no_rule_says_how_many_rows_are_missing(run: Path, tmp_path: Path) -> None:
    copy = copied(run, tmp_path)
    few = write_csv(tmp_path / "few.csv", reviews(60, seed=5))
    done = bertune("decide", copy, few, "decide.max_error=0.001").fine()
    assert "cannot answer any of the texts without review" in done.out
    assert re.search(r"about [\d,]+ more labelled examples|improve the model", done.out)
    assert {p.decision for p in bt.load(copy).predict(TEXTS)} == {"review"}


def test_too_few_rows_leave_the_temperature_and_the_rule_in_use(run: Path, tmp_path: Path) -> None:
    copy, few = tmp_path / "run", write_csv(tmp_path / "few.csv", reviews(30, seed=5))
    shutil.copytree(run, copy)
    before = (copy / "model" / "bertune.json").read_bytes()
    refused = bertune("decide", copy, few)
    assert refused.code == 3
    assert "few.csv: not calibrated: 30 texts, at least 50 are needed. The model was not" in refused.err
    assert (copy / "model" / "bertune.json").read_bytes() == before

    done = bertune("decide", copy, few, "decide.abstain_below=0.6", "--json").fine()
    assert "not calibrated: 10 texts, at least 50 are needed" in done.json["notes"]
    assert "the model keeps its earlier temperature" in done.json["notes"]
    fitted = bt.load(copy).fitted
    assert fitted.calibration == bt.load(run).fitted.calibration and fitted.rule.thresholds == {"": 0.6}
    old, new = (json.loads((folder / "manifest.json").read_text()) for folder in (run, copy))
    assert new["calibration"] == old["calibration"] is not None


@pytest.mark.parametrize("folder", ["run", "run/model"])
def test_the_run_and_its_model_card_describe_the_new_rule(
    folder: str, run: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    old = json.loads((run / "manifest.json").read_text())["decision"]["sentence"]
    found = bt.decide(tmp_path / folder, files["new"], settings={"decide.abstain_below": 0.6})
    card = tmp_path / "run" / "model" / "README.md"
    before = (run / "model" / "README.md").read_text()
    assert card.read_text() == before.replace(f"\n- {old}", "").replace(old, found.sentence)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["decision"]["sentence"] in (
        card.read_text()
    )
    bt.decide(tmp_path / folder, files["new"])  # without a target: removes the rule
    assert "without review" not in card.read_text()
    again = bt.decide(tmp_path / folder, files["new"], settings={"decide.max_error": 0.3})
    assert card.read_text().count(again.sentence) == 1


@pytest.mark.parametrize(
    "kind",
    ["classification", "multilabel", "token_classification", "question_answering", "multiple_choice"],
)
def test_every_deciding_task_marks_predictions_for_review(
    exports: Exports, kind: str, tmp_path: Path
) -> None:
    copy = copied(exports.run(kind), tmp_path)
    data = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = rows_of(kind) * 12
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before = bt.load(copy).evaluate(data)
    assert "decision" not in before.lines[0] and before.decision is None
    bt.decide(copy, data, settings={"decide.max_error": 0.4, "decide.confidence": 0.6})
    after = bt.load(copy).evaluate(data)
    assert after.decision is not None
    assert {line["decision"] for line in after.lines} <= {"answer", "review"}
    assert after.scores == pytest.approx(before.scores, abs=0.5)
    strict = bt.decide(copy, data, settings={"decide.abstain_below": 1.0, "decide.calibration": "none"})
    assert "decision" in json.dumps(strict.plain())
    reviewed = [line["decision"] for line in bt.load(copy).evaluate(data).lines]
    assert "review" in reviewed


@pytest.mark.parametrize("kind", ["regression", "embeddings"])
def test_tasks_without_right_and_wrong_answers_refuse_a_guarantee(
    exports: Exports, kind: str, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows_of(kind)), encoding="utf-8")
    with pytest.raises(ConfigError, match="right or wrong"):
        bt.decide(exports.run(kind), data, settings={"decide.max_error": 0.1})
    with pytest.raises(ConfigError, match="cannot be calibrated"):
        bt.decide(exports.run(kind), data)


def test_costs_and_cutoffs_change_the_predicted_labels(
    run: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    copy = copied(run, tmp_path)
    bt.decide(copy, files["new"], settings={"decide.objective": "recall", "decide.target": 1.0})
    found = bt.load(copy).evaluate(files["new"]).scores
    assert found["recall"] is not None and found["recall"] > 0.97
    costs = {"decide.objective": "cost", "decide.costs": {"bad>good": 1000.0}}
    bt.decide(copy, files["new"], settings=costs)
    assert {p.label for p in bt.load(copy).predict(TEXTS)} == {"bad"}


def test_contradictory_settings_are_refused_before_anything_is_written(
    run: Path, files: dict[str, Path]
) -> None:
    before = os.stat(run / "model" / "bertune.json").st_mtime_ns
    for settings, message in (
        ({"decide.max_error": 0.1, "decide.abstain_below": 0.5}, "Keep one"),
        ({"decide.objective": "precision"}, "decide.target"),
        ({"decide.calibration": "none"}, "nothing to fit"),
    ):
        with pytest.raises(ConfigError, match=message):
            bt.decide(run, files["new"], settings=settings)
    assert os.stat(run / "model" / "bertune.json").st_mtime_ns == before
