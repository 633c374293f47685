"""`bertune check`: a summary of the data before training; nothing is written."""

from pathlib import Path

from tiny import QUICK, bertune, contents, reviews, write_csv


def test_check_shows_rows_balance_and_lengths_and_writes_nothing(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", [*reviews(19), ("great lamp", "good")])
    before = contents(here)
    said = bertune("check", "a.csv", f"model.name={encoder}").fine()
    for words in ("train", "validation", "good", "bad", "truncated", "max_length"):
        assert words in said.out
    assert "55.0%" in said.out or "55.6%" in said.out
    assert contents(here) == before


def test_check_can_print_json(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(20))
    found = bertune("check", "a.csv", f"model.name={encoder}", "--json").fine().json
    splits = found["data"]["splits"]
    assert splits["train"]["rows"] + splits["validation"]["rows"] == 20
    assert sum(splits["train"]["labels"].values()) == splits["train"]["rows"]
    assert found["max_length"]["model_limit"] == 64
    assert found["max_length"]["value"] == 64  # the limit of the model, not the length of the longest text


def test_check_counts_duplicate_contradictory_and_shared_texts(here: Path, encoder: Path) -> None:
    rows = reviews(20)
    write_csv(here / "a.csv", [*rows, rows[0], rows[1], (rows[2][0], "bad")])
    write_csv(here / "b.csv", rows[:5])
    settings = (f"model.name={encoder}", "data.validation=b.csv")
    found = bertune("check", "a.csv", *settings, "--json").fine().json
    train = found["data"]["splits"]["train"]
    assert (train["duplicates"], train["conflicting_duplicates"]) == (3, 1)
    assert found["data"]["shared_texts"]["train/validation"] == 5
    assert any("a different label" in text for text in found["warnings"])
    assert any(
        "validation" in text and "5 " in text and "also in train" in text for text in found["warnings"]
    )
    said = bertune("check", "a.csv", *settings).fine()
    assert "also in train" in said.out + said.err


def test_check_counts_the_texts_that_a_length_would_truncate(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(20))
    found = bertune("check", "a.csv", f"model.name={encoder}", "model.max_length=6", "--json").fine().json
    cut = sum(split["truncated"] for split in found["data"]["splits"].values())
    assert 0 < cut < 20
    assert found["max_length"]["value"] == 6
    assert any("truncated" in text for text in found["warnings"])


def test_long_label_names_are_not_truncated(here: Path, encoder: Path) -> None:
    """Without a terminal, a table must not be truncated to 80 columns."""
    names = [f"a-very-long-label-{'x' * 60}-{i}" for i in range(2)]
    write_csv(here / "a.csv", [(text, names[i % 2]) for i, (text, _) in enumerate(reviews(20))])
    said = bertune("check", "a.csv", f"model.name={encoder}").fine()
    assert all(name in said.out for name in names), said.out
    assert "50.0%" in said.out


def test_check_refuses_a_metric_that_training_refuses(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(20))
    said = [
        bertune(verb, "a.csv", f"model.name={encoder}", "train.best_metric=acuracy")
        for verb in ("check", "train")
    ]
    assert said[0].err == said[1].err and said[0].code == said[1].code == 3
    assert 'train.best_metric=acuracy: this task has no such metric. Did you mean "accuracy"?' in said[0].err


def test_check_lists_findings_with_rows_and_remedies(here: Path, encoder: Path) -> None:
    rows = reviews(20)
    write_csv(here / "a.csv", [*rows, rows[0]])
    write_csv(here / "b.csv", [rows[4], *reviews(19, seed=3)])
    said = bertune("check", "a.csv", f"model.name={encoder}", "data.validation=b.csv").fine().out
    lines = [line.strip() for line in said.splitlines()]
    (at,) = [i for i, line in enumerate(lines) if line.startswith("warning") and "also in train" in line]
    assert lines[at].split()[1:4] == ["1", "of", "20"]
    shown = " ".join(" ".join(lines[at:]).split())  # in a file or pipe, lines are wrapped
    assert "Set data.deduplicate=true to drop them from the training set" in shown
    assert f"b.csv, line 2: {rows[4][0]} (repeats a.csv, line 6)" in shown
    assert any(line.startswith("note") and "repeats an earlier text exactly" in line for line in lines)


def test_train_opens_with_errors_and_warnings_but_without_notes(here: Path, encoder: Path) -> None:
    rows = reviews(20)
    write_csv(here / "a.csv", [*rows, rows[0]])
    write_csv(here / "b.csv", rows[:5])
    said = bertune("train", "a.csv", f"model.name={encoder}", "data.validation=b.csv", *QUICK).fine().err
    assert "data error: 5 of the validation texts are also in train, which inflates the validation" in said
    assert "repeats an earlier text exactly" not in said


def test_check_warns_of_points_that_may_separate_thousands(here: Path, encoder: Path) -> None:
    rows = "".join(f"{text};{1 + n % 9}.{100 + n}\n" for n, (text, _) in enumerate(reviews(20)))
    (here / "a.csv").write_text(f"text;score\n{rows}", encoding="utf-8")
    settings = ("a.csv", f"model.name={encoder}", "task.name=regression", "--json")
    warnings = bertune("check", *settings).fine().json["warnings"]
    assert any('in column "score", 1.100 is read as a number with decimals' in text for text in warnings)
    chosen = bertune("check", *settings, "data.decimal=point").fine().json["warnings"]
    assert not any("decimals" in text for text in chosen)


def test_check_refuses_more_frozen_layers_than_the_encoder_has(here: Path, encoder: Path) -> None:
    write_csv(here / "a.csv", reviews(20))
    refused = bertune("check", "a.csv", f"model.name={encoder}", "train.freeze=99")
    assert refused.code == 3 and "train.freeze=99: this encoder has only" in refused.err
