"""Intervals, simple models, gates, seeds and comparisons, through the real command."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bertune import api
from bertune.errors import GateError
from tiny import QUICK, bertune, reviews, write_csv


@pytest.fixture(scope="module")
def folder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv, test.csv, and `seeds`: a run of two seeds."""
    folder = tmp_path_factory.mktemp("trust")
    write_csv(folder / "train.csv", reviews(80))
    write_csv(folder / "test.csv", reviews(40, seed=5))
    said = bertune(*command(folder, encoder), "train.seeds=2", "--out", folder / "seeds", "--json").fine()
    (folder / "said.json").write_text(said.out)
    return folder


def command(folder: Path, encoder: Path) -> list[Any]:
    data = (folder / "train.csv", f"data.test={folder / 'test.csv'}", f"model.name={encoder}")
    return ["train", *data, *QUICK, "data.validation_fraction=0.25"]


def lines_of(run: Path, split: str) -> list[dict[str, Any]]:
    text = (run / "predictions" / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def sources(run: Path) -> list[str]:
    return [str(line["source"]) for line in lines_of(run, "validation")]


def test_several_seeds_give_one_usable_run_with_their_spread(folder: Path) -> None:
    manifest = json.loads((folder / "seeds" / "manifest.json").read_text())
    found = manifest["seeds"]
    values = {run["seed"]: run["scores"]["test"]["accuracy"] for run in found["runs"]}
    assert values.keys() == {42, 43}
    spread = found["spread"]["test"]["accuracy"]
    assert spread["mean"] == pytest.approx(sum(values.values()) / 2)
    assert (spread["low"], spread["high"]) == (min(values.values()), max(values.values()))
    best = folder / "seeds" / "seeds" / f"seed-{found['best']}"
    assert manifest["scores"] == json.loads((best / "manifest.json").read_text())["scores"]
    chosen = max(found["runs"], key=lambda run: run["scores"]["validation"]["mcc"])
    assert chosen["scores"]["validation"]["mcc"] == manifest["training"]["best"]["value"]
    rows = {run["seed"]: sources(folder / "seeds" / run["folder"]) for run in found["runs"]}
    assert rows[42] == rows[43], "all seeds have the same split"
    evaluated = bertune("evaluate", folder / "seeds", folder / "test.csv", "--json").fine().json
    assert evaluated["scores"]["test"] == pytest.approx(manifest["scores"]["test"], abs=1e-5)


def test_every_score_has_an_interval_in_all_outputs(folder: Path) -> None:
    said = json.loads((folder / "said.json").read_text())
    found = said["intervals"]["test"]
    assert found["level"] == 0.95 and found["units"] == 40
    defined = {name for name, value in said["scores"]["test"].items() if value is not None}
    assert found["scores"].keys() == defined
    low, high = found["scores"]["log_loss"]
    assert low < said["scores"]["test"]["log_loss"] < high
    table = bertune("evaluate", folder / "seeds", folder / "test.csv").fine()
    assert f"[{low:.4f}, {high:.4f}]" in table.out
    page = (folder / "seeds" / "report" / "index.html").read_text()
    assert f"{low:.3f} to {high:.3f}" in page
    assert "Training seeds" in page


def test_a_finished_run_of_several_seeds_is_not_trained_again(folder: Path, encoder: Path) -> None:
    before = (folder / "seeds" / "manifest.json").stat().st_mtime_ns
    bertune(*command(folder, encoder), "train.seeds=2", "--out", folder / "seeds", "--resume").fine()
    assert (folder / "seeds" / "manifest.json").stat().st_mtime_ns == before


def test_compare_tests_every_score_and_writes_the_rows_that_changed(folder: Path, tmp_path: Path) -> None:
    runs = [folder / "seeds" / "seeds" / f"seed-{seed}" for seed in (42, 43)]
    said = bertune("compare", *runs, "--out", tmp_path / "changed.csv", "--json").fine().json
    (second,) = said["runs"]
    assert said["split"] == "test" and said["tests"] == "models"
    loss = next(one for one in second["scores"] if one["score"] == "log_loss")
    assert loss["difference"]["value"] == pytest.approx(loss["second"] - loss["first"])
    assert loss["difference"]["low"] <= loss["difference"]["value"] <= loss["difference"]["high"]
    assert 0 < loss["difference"]["p"] <= loss["p_adjusted"] <= 1
    labels = [lines_of(run, "test") for run in runs]
    expected = [one["id"] for one, other in zip(*labels, strict=True) if one["label"] != other["label"]]
    with (tmp_path / "changed.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == expected
    assert all((row["change"] == "fixed") == (row["second"] == row["gold"]) for row in rows)
    plain = bertune("compare", *runs).fine()
    assert "paired bootstrap" in plain.err and f"{said['primary']}: " in plain.err
    other = bertune("compare", *runs, "--score", "log_loss", "--json").fine().json
    assert other["primary"] == "log_loss"
    (first_p,) = (one for one in other["runs"][0]["scores"] if one["score"] == "log_loss")
    assert first_p["p_adjusted"] == first_p["difference"]["p"]
    refused = bertune("compare", *runs, "--score", "f2")
    assert refused.code == 3 and "unknown score 'f2'" in refused.err and "log_loss" in refused.err
    assert api.compare(runs).runs[0].scores[0].score == second["scores"][0]["score"]
    assert api.compare([folder / "seeds"] * 2).tests == "recipes"


def test_runs_with_other_test_rows_are_not_compared(folder: Path, encoder: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "other.csv", reviews(40, seed=6))
    arguments = [*command(folder, encoder), f"data.test={tmp_path / 'other.csv'}", "train.baselines=true"]
    bertune(*arguments, "gate.log_loss=5", "gate.accuracy=0.1", "--out", tmp_path / "run").fine()
    refused = bertune("compare", folder / "seeds", tmp_path / "run")
    assert refused.code == 3
    assert "the test rows of" in refused.err and "Evaluate both with the same data.test" in refused.err
    # The same training, with simple models.
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert [gate["passed"] for gate in manifest["gates"]] == [True, True]
    names = [model["name"] for model in manifest["baselines"]["models"]]
    assert names == ["most frequent label", "TF-IDF + linear model", "frozen encoder + linear model"]
    # One word of each text determines the label, so that words are enough.
    assert manifest["baselines"]["models"][1]["scores"]["mcc"] == 1.0
    assert manifest["baselines"]["verdict"].startswith("The simple model is ")
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert manifest["baselines"]["verdict"].split(":")[0] in page
    assert "Quality gates" in page


def test_a_failed_gate_exits_with_5_and_the_run_is_complete(
    folder: Path, encoder: Path, tmp_path: Path
) -> None:
    said = bertune(
        *command(folder, encoder), "gate.accuracy=1.1", "gate.log_loss=9", "--out", tmp_path / "run"
    )
    assert said.code == 5
    assert "1 of 2 quality gates failed: accuracy" in said.err and "at least 1.1 required" in said.err
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "complete"
    with pytest.raises(GateError, match="accuracy"):
        api.train(tmp_path / "run", resume=True)
    assert bertune("evaluate", tmp_path / "run", folder / "test.csv", "gate.log_loss=0.0001").code == 5


def test_a_gate_on_an_unknown_score_is_refused_before_training(
    folder: Path, encoder: Path, tmp_path: Path
) -> None:
    said = bertune(*command(folder, encoder), "gate.acuracy=0.9", "--out", tmp_path / "run")
    assert said.code == 3 and 'Did you mean "accuracy"?' in said.err
    assert not (tmp_path / "run").exists()
