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
    space = "tune.space.train.epochs=1,2"
    words = (*command, space, "gate.accuracy=1.01", "track.to=tensorboard", "--out", out)
    found = bertune(*words)
    assert found.code == 5, "the gate of the best settings"
    assert "Best settings: train.epochs=" in found.err
    assert "trial-0 (defaults)" in found.out
    assert "the space has only 2 combinations, so all of them are tried" in found.err
    assert "track.to is not used by the search" in found.err
    assert "  1/2  trial-0" in found.err
    assert "  2/2  trial-1" in found.err
    again = bertune("tune", out, "--resume", "--json").json
    assert again["status"] == "complete"
    assert {trial["params"]["train.epochs"] for trial in again["trials"]} == {1, 2}
    assert again["winner"]["params"] in [trial["params"] for trial in again["trials"]]
    assert (out / "best" / "report" / "index.html").is_file()
    assert bertune(*words).code == 1, "the folder exists"


def test_a_wrong_range_is_one_clear_message(tmp_path: Path, encoder: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(20))
    found = bertune(
        "tune", data, f"model.name={encoder}", "tune.space.train.lr=0..1e-4", "--out", tmp_path / "s"
    )
    assert (found.code, found.out) == (3, "")
    assert found.err == "error: tune.space.train.lr: train.lr must be greater than 0, got 0.0\n"
    assert not (tmp_path / "s").exists()
