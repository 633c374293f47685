"""`bertune tune`: what it prints, and how its errors end."""

from pathlib import Path

from tiny import QUICK, bertune, reviews, write_csv


def test_a_search_prints_trials_and_conclusions_and_leaves_a_run(tmp_path: Path, encoder: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(60))
    out = tmp_path / "search"
    command = (
        "tune",
        data,
        f"model.name={encoder}",
        *QUICK,
        "data.test_fraction=0.3",
        "tune.storage=journal",
    )
    words = (*command, "tune.space.train.epochs=1,2", "gate.accuracy=1.01", "--out", out)
    found = bertune(*words, "--json")
    assert found.code == 5, "the gate of the best settings"
    assert found.json["status"] == "complete"
    assert {trial["params"]["train.epochs"] for trial in found.json["trials"]} == {1, 2}
    assert found.json["winner"]["params"] in [trial["params"] for trial in found.json["trials"]]
    assert "the space has only 2 combinations, so all of them are tried" in found.err
    assert "  1/2  trial-0" in found.err
    assert "  2/2  trial-1" in found.err
    assert bertune("predict", out / "best", data).fine().lines[0]["label"] in ("good", "bad")
    again = bertune("tune", out, "--resume")
    assert "Best settings: train.epochs=" in again.err
    assert "trial-0 (defaults)" in again.out
    assert bertune("report", out).fine().out.strip() == str(out / "report" / "index.html")
    assert bertune(*words).code == 1, "the folder exists"


def test_a_wrong_range_is_one_clear_message(tmp_path: Path, encoder: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(20))
    found = bertune(
        "tune", data, f"model.name={encoder}", "tune.space.train.lr=0..1e-4", "--out", tmp_path / "s"
    )
    assert (found.code, found.out) == (3, "")
    assert found.err == "error: tune.space.train.lr: train.lr must be greater than 0, got 0.0\n"
    assert not (tmp_path / "s").exists()
