"""`bertune predict` on files and pipes."""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tiny import BIN, bertune, contents, process, reviews, write_csv

TEXTS = [text for text, _ in reviews(9, seed=3)]


def as_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_row_of_a_file_is_predicted_in_order(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [(text,) for text in TEXTS], "text")
    before = contents(here) | contents(trained.run)
    said = bertune("predict", trained.run, "new.csv").fine()
    assert [line["text"] for line in said.lines] == TEXTS
    for line in said.lines:
        assert set(line) == {"text", "label", "probabilities"}
        assert set(line["probabilities"]) == {"good", "bad"}
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-12)
        assert line["label"] == max(line["probabilities"], key=line["probabilities"].get)
    assert "9 rows" in said.err
    assert contents(here) | contents(trained.run) == before


def test_a_prediction_does_not_depend_on_the_other_texts(trained: Any, here: Path) -> None:
    together = bertune("predict", trained.run, "-", stdin="\n".join(TEXTS) + "\n").fine().lines
    for text, line in zip(TEXTS[:3], together, strict=False):
        alone = bertune("predict", trained.run, "-", stdin=text).fine().lines[0]
        assert alone["probabilities"] == pytest.approx(line["probabilities"], abs=1e-6)


def test_predicting_the_validation_rows_repeats_the_predictions_of_training(trained: Any) -> None:
    stored = [
        json.loads(line) for line in (trained.run / "predictions" / "test.jsonl").read_text().splitlines()
    ]
    said = bertune("predict", trained.run, trained.folder / "test.csv", "machine.threads=1").fine()
    assert [line["probabilities"] for line in said.lines] == [line["probabilities"] for line in stored]


def test_the_users_columns_are_kept(trained: Any, here: Path) -> None:
    (here / "new.jsonl").write_text(
        '{"id": 7, "text": "great phone", "note": null, "tags": ["a", 1], "stars": 4.5}\n'
        '{"id": 8, "text": "dull lamp", "note": "看", "tags": [], "stars": 1}\n'
    )
    lines = bertune("predict", trained.run, "new.jsonl").fine().lines
    assert [(line["id"], line["note"], line["tags"], line["stars"]) for line in lines] == [
        (7, None, ["a", 1], 4.5),
        (8, "看", [], 1),
    ]


def test_the_users_label_column_is_not_overwritten(trained: Any) -> None:
    """Users predict labelled files to find errors, so the labels must be kept."""
    said = bertune("predict", trained.run, trained.folder / "test.csv").fine()
    gold = [label for _, label in reviews(21, 2)]
    for line, label in zip(said.lines, gold, strict=True):
        assert label in [
            value for key, value in line.items() if key not in ("text", "id", "note", "probabilities")
        ]
    predicted = [max(line["probabilities"], key=line["probabilities"].get) for line in said.lines]
    assert predicted != gold, "a model that is always right cannot tell the two columns apart"


def test_csv_output_has_one_column_per_probability(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [(f"row {i}", text) for i, text in enumerate(TEXTS)], "note,text")
    said = bertune("predict", trained.run, "new.csv", "--csv").fine()
    rows = as_csv(said.out)
    assert [(row["note"], row["text"]) for row in rows] == [
        (f"row {i}", text) for i, text in enumerate(TEXTS)
    ]
    lines = bertune("predict", trained.run, "new.csv").fine().lines
    for row, line in zip(rows, lines, strict=True):
        assert row["label"] == line["label"]
        for label, value in line["probabilities"].items():
            assert float(row[f"probabilities.{label}"]) == value


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_without_text_gets_an_empty_label_in_csv_too(trained: Any, here: Path, place: int) -> None:
    rows = [("1", "great phone"), ("2", "dull lamp")]
    rows.insert(place, ("9", " "))
    write_csv(here / "new.csv", rows, "id,text")
    said = bertune("predict", trained.run, "new.csv", "--csv").fine()
    found = as_csv(said.out)
    assert [row["id"] for row in found] == [number for number, _ in rows]
    assert found[place]["label"] == "" and found[place]["probabilities.good"] == ""
    assert all(row["label"] and float(row["probabilities.good"]) for row in found if row["id"] != "9")


def test_rows_without_text_are_counted_and_kept(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [("1", ""), ("2", "great phone"), ("3", "   ")], "id,text")
    said = bertune("predict", trained.run, "new.csv").fine()
    assert [(line["id"], line["label"] is None) for line in said.lines] == [
        ("1", True),
        ("2", False),
        ("3", True),
    ]
    assert "2 rows have no text" in said.err


def test_a_number_is_read_as_text(trained: Any, here: Path) -> None:
    (here / "new.jsonl").write_text(
        '{"text": 0}\n{"text": 1}\n{"text": "0"}\n{"text": false}\n{"text": null}\n'
    )
    lines = bertune("predict", trained.run, "new.jsonl").fine().lines
    assert [line["label"] is None for line in lines] == [False, False, False, False, True]
    assert lines[0]["probabilities"] == pytest.approx(lines[2]["probabilities"])


def test_lines_from_a_pipe_are_texts(trained: Any) -> None:
    said = bertune("predict", trained.run, "-", stdin="\n".join(TEXTS) + "\n").fine()
    assert [line["text"] for line in said.lines] == TEXTS


def test_blank_lines_from_a_pipe_are_kept(trained: Any) -> None:
    """Line n of the output corresponds to line n of the input, so that `paste` works."""
    said = bertune("predict", trained.run, "-", stdin="\ngreat phone\n\n  \ndull lamp\n\n").fine()
    assert [line["label"] is None for line in said.lines] == [True, False, True, True, False, True]


def test_lines_from_a_pipe_can_end_with_crlf_or_without_a_newline(trained: Any) -> None:
    said = bertune("predict", trained.run, "-", stdin=b"\xef\xbb\xbfgreat phone\r\ndull lamp").fine()
    assert [line["text"] for line in said.lines] == ["great phone", "dull lamp"]


def test_json_lines_from_a_pipe_keep_their_keys(trained: Any) -> None:
    stdin = '{"id": 1, "text": "great phone"}\n{"id": 2, "text": ""}\n{"id": 3, "text": "屏幕"}\n'
    said = bertune("predict", trained.run, "-", stdin=stdin).fine()
    assert [(line["id"], line["label"] is None) for line in said.lines] == [(1, False), (2, True), (3, False)]
    assert "屏幕" in said.out


@pytest.mark.parametrize(
    ("stdin", "parts"),
    [
        ("", ["<stdin>", "empty"]),
        ('{"txt": "a", "id": 1}\n', ["<stdin>", 'text column was "text"', "data.text=txt"]),
        ('{"text": "a"}\n{"text": \n', ["<stdin>, line 2", "JSON"]),
        ('{"text": "a"}\n["b"]\n', ["<stdin>, line 2", "a list"]),
        ("fine\nb\0d\n", ["<stdin>, line 2", "NUL"]),
        (b"fine\ncaf\xe9\n", ["<stdin>", "UTF-8", "iconv"]),
        (b"\xff\xfef\x00\n\x00", ["<stdin>, at the beginning", "not UTF-8 but UTF-16", "iconv -f UTF-16"]),
    ],
)
def test_an_invalid_pipe_is_refused_with_its_line(trained: Any, stdin: str | bytes, parts: list[str]) -> None:
    said = bertune("predict", trained.run, "-", stdin=stdin)
    assert said.code == 3
    assert said.err.count("error:") == 1
    for part in parts:
        assert part in said.err


def test_more_rows_than_a_chunk_are_predicted_in_order(trained: Any) -> None:
    from bertune.predict.predictor import STREAM_CHUNK

    count = STREAM_CHUNK + 5
    texts = [f"{TEXTS[i % 9]} {i}" for i in range(count)]
    said = bertune("predict", trained.run, "-", stdin="\n".join(texts)).fine()
    lines = said.lines
    assert [line["text"] for line in lines] == texts
    assert f"{count:,} rows" in said.err
    last = bertune("predict", trained.run, "-", stdin="\n".join(texts[-5:])).fine().lines
    for line, alone in zip(lines[-5:], last, strict=True):
        assert line["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


def test_a_closed_output_pipe_causes_no_error_message(trained: Any, here: Path) -> None:
    """`bertune predict … | head -1`"""
    write_csv(here / "many.csv", [(f"{TEXTS[i % 9]} {i}",) for i in range(3000)], "text")
    command = [BIN, "predict", trained.run, "many.csv", "machine.threads=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as going:
        assert going.stdout is not None and going.stderr is not None
        first = going.stdout.readline()
        going.stdout.close()
        err = going.stderr.read().decode()
        going.wait(timeout=120)
    assert json.loads(first)["text"] == f"{TEXTS[0]} 0"
    assert "Traceback" not in err and "Exception ignored" not in err and "Broken pipe" not in err
    assert "3,000 rows" not in err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.CSV"])
def test_out_writes_only_the_file(trained: Any, here: Path, name: str) -> None:
    write_csv(here / "new.csv", [(text,) for text in TEXTS], "text")
    said = bertune("predict", trained.run, "new.csv", "--out", name).fine()
    assert said.out == ""
    assert f"wrote 9 rows to {name}" in said.err
    assert {path.name for path in here.iterdir()} == {"new.csv", name}
    text = (here / name).read_text(encoding="utf-8")
    rows = as_csv(text) if name.lower().endswith("csv") else [json.loads(line) for line in text.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert all(row["label"] in ("good", "bad") for row in rows)


def test_json_with_out_prints_one_object_with_the_counts(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [("1", ""), ("2", "great phone"), ("3", "dull lamp " * 30)], "id,text")
    said = bertune("predict", trained.run, "new.csv", "--out", "out.csv", "--json").fine()
    assert said.json == {
        "rows": 3,
        "blank": 1,
        "failed": 0,
        "truncated": 0,
        "out": "out.csv",
        "renamed": {},
    }
    assert len(as_csv((here / "out.csv").read_text())) == 3


def test_json_without_out_prints_json_lines(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [(text,) for text in TEXTS], "text")
    plain = bertune("predict", trained.run, "new.csv").fine().out
    assert bertune("predict", trained.run, "new.csv", "--json").fine().out == plain
    refused = bertune("predict", trained.run, "new.csv", "--json", "--csv")
    assert refused.code == 3 and "--json and --csv" in refused.err and refused.out == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--out", "new.xlsx"), "Expected one of .jsonl, .csv, .parquet, .npy"),
        (("--out", "new.run"), "Expected one of .jsonl, .csv, .parquet, .npy"),
        (("--out", "new.parquet", "--csv"), "the suffix .parquet conflicts with --csv"),
    ],
)
def test_a_suffix_that_contradicts_the_format_is_refused(
    trained: Any, here: Path, flags: tuple[str, ...], message: str
) -> None:
    write_csv(here / "new.csv", [(text,) for text, _ in reviews(2)], "text")
    said = bertune("predict", trained.run, "new.csv", *flags)
    assert said.code == 3 and message in " ".join(said.err.split())
    assert not (here / flags[1]).exists()


def test_out_is_written_atomically(trained: Any, here: Path) -> None:
    """An invalid row after more rows than a chunk: the existing file is kept."""
    from bertune.predict.predictor import STREAM_CHUNK

    lines = [json.dumps({"text": TEXTS[i % 9]}) for i in range(STREAM_CHUNK + 3)]
    (here / "new.jsonl").write_text("\n".join([*lines, '{"text": ', ""]))
    (here / "out.jsonl").write_text("yesterday\n")
    said = bertune("predict", trained.run, "new.jsonl", "--out", "out.jsonl")
    assert said.code == 3 and f"new.jsonl, line {STREAM_CHUNK + 4}" in said.err
    assert (here / "out.jsonl").read_text() == "yesterday\n"
    assert {path.name for path in here.iterdir()} == {"new.jsonl", "out.jsonl"}


@pytest.mark.parametrize("out", ["nowhere/out.jsonl", "new.csv/out.jsonl", "."])
def test_an_impossible_out_file_is_refused(trained: Any, here: Path, out: str) -> None:
    write_csv(here / "new.csv", [(text,) for text in TEXTS], "text")
    before = contents(here)
    said = bertune("predict", trained.run, "new.csv", "--out", out)
    assert said.code in (1, 3)
    assert said.err.count("error:") == 1 and out.partition("/")[0] in said.err
    assert contents(here) == before


def test_the_input_file_is_not_overwritten(trained: Any, here: Path) -> None:
    write_csv(here / "new.csv", [("1", text) for text in TEXTS], "note,text")
    before = (here / "new.csv").read_bytes()
    said = bertune("predict", trained.run, "new.csv", "--out", "new.csv")
    assert said.code == 3 and "input file" in said.err
    assert (here / "new.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["new.csv", "data.text=bodi"], ['"bodi"', '"body"']),
        (["nwe.csv"], ["nwe.csv", "new.csv"]),
        (["."], ["folder"]),
        (["new.csv", "data.txt=body"], ["data.txt", "data.text"]),
        (["two.csv"], ["two.csv", "data.text"]),
        pytest.param(
            ["This phone is great, I would buy it again. " * 8], ["not a usable path"], id="a text for a file"
        ),
    ],
)
def test_invalid_input_for_prediction_is_refused(
    trained: Any, here: Path, arguments: list[str], parts: list[str]
) -> None:
    write_csv(here / "new.csv", [("great phone", "x")], "body,note")
    write_csv(here / "two.csv", [("great phone", "x")], "a,b")
    said = bertune("predict", trained.run, *arguments)
    assert said.code == 3
    assert said.out == ""
    assert said.err.count("error:") == 1
    for part in parts:
        assert part in said.err


@pytest.mark.parametrize(
    "setting", ["train.epochs=9", "model.dropout=0", "model.name=other", "data.validation_fraction=0.3"]
)
def test_a_setting_that_prediction_does_not_use_is_an_error(trained: Any, here: Path, setting: str) -> None:
    """Ignoring it would mislead the user."""
    write_csv(here / "new.csv", [("great phone",)], "text")
    said = bertune("predict", trained.run, "new.csv", setting)
    assert said.code == 3 and setting.partition("=")[0] in said.err


def test_texts_longer_than_in_training_are_not_truncated(trained: Any) -> None:
    said = bertune("predict", trained.run, "-", stdin="great phone\n" + "dull lamp " * 30 + "\n").fine()
    assert "truncated" not in said.err


def test_texts_longer_than_max_length_are_truncated_and_counted(trained: Any) -> None:
    stdin = "great phone\n" + "dull lamp " * 30 + "\n"
    said = bertune("predict", trained.run, "-", "model.max_length=20", stdin=stdin).fine()
    assert "1 of 2 rows were truncated to model.max_length=20 tokens" in said.err
    assert "set model.max_length=64 to use up to 64 tokens" in said.err
    refused = bertune("predict", trained.run, "-", "model.max_length=65", stdin=stdin)
    assert refused.code == 3 and "takes at most 64 tokens" in refused.err


def test_a_row_that_cannot_be_predicted_is_empty_and_reported(trained: Any, here: Path) -> None:
    rows = [{"text": "great phone"}, {"text": ["dull", "lamp"]}, {"text": "dull lamp"}]
    (here / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = bertune("predict", trained.run, "new.jsonl").fine()
    assert [row["label"] is None for row in said.lines] == [False, True, False]
    assert "1 row could not be predicted" in said.err and "new.jsonl, line 2" in said.err
    refused = bertune("evaluate", trained.run, "new.jsonl")
    assert refused.code == 3


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_anything_but_a_run_is_refused(here: Path, folder: str) -> None:
    said = bertune("predict", folder, "-", stdin="great\n")
    assert said.code == 3 and said.err.count("error:") == 1 and "run folder" in said.err


def test_a_process_writes_only_json_lines_to_stdout(trained: Any) -> None:
    said = process(BIN, "predict", "runs/reviews", "-", cwd=trained.folder, stdin="great phone\n\n").fine()
    assert [line["label"] is None for line in said.lines] == [False, True]
    assert "2 rows" in said.err
