"""`bertune cross-validate`: what it prints and writes, and how a killed one continues."""

import json
import signal
from pathlib import Path

from tiny import QUICK, bertune, reviews, write_csv
from trainings import Command, wait_for_steps

FEW = (*QUICK, "cross_validate.folds=2")


def test_the_scores_are_printed_and_the_models_can_be_left_out(tmp_path: Path, encoder: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(40))
    out = tmp_path / "folds"
    command = ("cross-validate", data, f"model.name={encoder}", *FEW, "cross_validate.repeats=2")
    found = bertune(*command, "cross_validate.keep_models=false", "--out", out, "--json").fine()
    assert found.json["num_repeats"] == 2
    assert len(found.json["scores"]["accuracy"]["folds"]) == 4
    assert "4/4  repeat-2-fold-2" in found.err
    assert "2 folds of 20 rows, stratified by label, repeated 2 times with other folds" in found.err
    assert not list(out.glob("folds/*/model"))
    assert bertune("report", out).fine().out.strip() == str(out / "report" / "index.html")
    assert bertune(*command, "--out", out).code == 1
    again = bertune("cross-validate", out, "--resume").fine()
    assert f"{found.json['scores']['accuracy']['pooled']:.4f}" in again.out
    changed = bertune(*command, "train.lr=0.1", "--out", out, "--resume")
    assert (changed.code, "train.lr was 0.003 and is now 0.1" in changed.err) == (3, True)


def test_a_killed_cross_validation_continues_with_the_same_command(tmp_path: Path, encoder: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(40))
    words = ("cross-validate", data, f"model.name={encoder}", *FEW, "train.epochs=20")
    command = Command(tmp_path / "first", *words, "--out", tmp_path / "killed")
    wait_for_steps(tmp_path / "killed" / "folds" / "fold-2", 3, command)
    command.signal(signal.SIGKILL)
    assert command.end().code == -signal.SIGKILL
    continued = bertune(*words, "--out", tmp_path / "killed", "--resume").fine()
    assert "1/2  fold-1" in continued.err
    assert "complete)" in continued.err
    bertune(*words, "--out", tmp_path / "whole").fine()
    scores = [
        json.loads((tmp_path / name / "cross-validation.json").read_text(encoding="utf-8"))["scores"]
        for name in ("killed", "whole")
    ]
    assert scores[0] == scores[1]
