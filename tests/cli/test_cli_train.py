"""`bertune train`: the files and the output of a training, for every file format."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tiny import BAD, GOOD, Result, bertune, contents, reviews, write_csv

SCORES = {"accuracy", "macro_f1", "mcc", "f1", "precision", "recall", "roc_auc", "log_loss"}


def manifest_of(run: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def train(here: Path, quick: tuple[str, ...], source: str, *settings: str) -> tuple[Result, dict[str, Any]]:
    """A training into here/run, and its manifest."""
    said = bertune("train", source, *quick, *settings, "--out", "run", "--json").fine()
    return said, manifest_of(here / "run")


def test_a_run_folder_contains_exactly_the_documented_files(trained: Any) -> None:
    there = {path.name for path in trained.run.iterdir()}
    folders = {"label-errors", "model", "predictions", "report"}
    assert there == {"config.toml", "manifest.json", "metrics.jsonl", *folders}
    model = {path.name for path in (trained.run / "model").iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "bertune.json",
    } <= model
    assert {path.name for path in (trained.run / "predictions").iterdir()} == {
        "validation.jsonl",
        "validation.mistakes.json",
        "test.jsonl",
        "test.mistakes.json",
        "test.label-errors.json",  # the validation split has too few rows for this, too
        "test.resamples.npz",  # the validation split has too few rows to be resampled
    }
    assert (trained.run / "report" / "index.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not [
        name for name in contents(trained.folder) if ".tmp" in name or "/." in name or ".lock" in name
    ]


def test_stdout_is_one_json_object_and_nothing_else(trained: Any) -> None:
    value, end = json.JSONDecoder().raw_decode(trained.said.out)
    assert trained.said.out[end:].strip() == ""
    assert value["status"] == "complete"
    assert set(value["scores"]) == {"validation", "test"}
    for split in ("validation", "test"):
        assert set(value["scores"][split]) >= SCORES
        assert 0 <= value["scores"][split]["accuracy"] <= 1


def test_the_scores_on_stdout_equal_those_in_the_manifest(trained: Any) -> None:
    assert trained.said.json["scores"] == manifest_of(trained.run)["scores"]
    assert trained.said.json["timings"] == manifest_of(trained.run)["timings"]


def test_messages_go_to_stderr(trained: Any) -> None:
    for words in ("train.csv", "validation", "max_length", "training 6 steps", "randomly initialized"):
        assert words in trained.said.err
    for line in trained.said.err.splitlines():
        assert not line.startswith("{")


def test_metrics_have_one_line_per_step(trained: Any) -> None:
    lines = jsonl(trained.run / "metrics.jsonl")
    num_steps = 3 * math.ceil(32 / 16)
    assert [line["step"] for line in lines] == list(range(1, num_steps + 1))
    for line in lines:
        assert line["loss"] > 0 and line["lr"] >= 0 and math.isfinite(line["grad_norm"])
    assert [line["step"] for line in lines if "validation" in line] == [2, 4, 6]
    assert lines[-1]["epoch"] == 3


def test_the_manifest_records_speed_time_and_memory(trained: Any) -> None:
    manifest = manifest_of(trained.run)
    timings = manifest["timings"]
    assert timings["train_examples_per_second"] > 0
    assert timings["total_seconds"] >= timings["train_seconds"] > 0
    rate = 3 * 32 / timings["train_seconds"]
    assert timings["train_examples_per_second"] == pytest.approx(rate, rel=0.02)
    assert 50 < manifest["peak_memory_mb"] < 100_000
    for library in ("bertune", "torch", "transformers", "python"):
        assert manifest["versions"][library]
    assert manifest["data"]["splits"]["train"]["rows"] == 32
    assert len(manifest["data"]["splits"]["test"]["sha256"]) == 64


def test_predictions_have_ids_and_gold_in_file_order(trained: Any) -> None:
    lines = jsonl(trained.run / "predictions" / "test.jsonl")
    expected = reviews(21, 2)
    assert [line["id"] for line in lines] == [f"te-{i}" for i in range(21)]
    assert [(line["text"], line["gold"]) for line in lines] == [([text], label) for text, label in expected]
    for line in lines:
        assert line["label"] == max(line["probabilities"], key=line["probabilities"].get)
        assert sum(line["probabilities"].values()) == pytest.approx(1)
    right = sum(line["label"] == line["gold"] for line in lines)
    assert trained.said.json["scores"]["test"]["accuracy"] == pytest.approx(right / 21)


def test_validation_rows_are_stratified_by_label(trained: Any) -> None:
    lines = jsonl(trained.run / "predictions" / "validation.jsonl")
    assert sorted(line["gold"] for line in lines) == ["bad"] * 4 + ["good"] * 4
    assert {line["id"] for line in lines} <= {f"tr-{i}" for i in range(40)}


def test_the_model_folder_contains_label_names_for_other_tools(trained: Any) -> None:
    config = json.loads((trained.run / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["label2id"] == {"bad": 0, "good": 1}
    assert config["architectures"] == ["BertForSequenceClassification"]


def test_repeating_a_run_from_its_settings_gives_the_same_scores(trained: Any, here: Path) -> None:
    said = bertune("train", trained.run, "--out", "again", "--json").fine()
    assert said.json["scores"] == trained.said.json["scores"]
    for split in ("validation", "test"):
        name = Path("predictions") / f"{split}.jsonl"
        assert (here / "again" / name).read_bytes() == (trained.run / name).read_bytes()
    losses = [
        [line["loss"] for line in jsonl(run / "metrics.jsonl")] for run in (trained.run, here / "again")
    ]
    assert losses[0] == losses[1]


def test_without_json_the_output_is_a_score_table_and_the_next_command(
    here: Path, quick: tuple[str, ...]
) -> None:
    write_csv(here / "reviews.csv", reviews(20))
    said = bertune("train", "reviews.csv", *quick).fine()
    assert "accuracy" in said.out and "validation" in said.out
    assert "predict" not in said.out
    assert "bertune predict runs/reviews FILE" in said.err
    assert (here / "runs" / "reviews" / "model" / "model.safetensors").is_file()


def test_validation_and_test_files_are_used_completely(here: Path, quick: tuple[str, ...]) -> None:
    for name, count in (("a.csv", 20), ("b.csv", 7), ("c.csv", 5)):
        write_csv(here / name, reviews(count, seed=count))
    said, manifest = train(here, quick, "a.csv", "data.validation=b.csv", "data.test=c.csv")
    rows = {name: split["rows"] for name, split in manifest["data"]["splits"].items()}
    assert rows == {"train": 20, "validation": 7, "test": 5}
    assert set(said.json["scores"]) == {"validation", "test"}


def test_pairs_are_read_from_two_columns(here: Path, quick: tuple[str, ...]) -> None:
    both = zip(reviews(24, 1), reviews(24, 2), strict=True)
    rows = [(a, b, "same" if i % 3 else "other") for i, ((a, _), (b, _)) in enumerate(both)]
    write_csv(here / "pairs.csv", rows, "question,sentence,label")
    _, manifest = train(here, quick, "pairs.csv", "data.text=question,sentence")
    assert manifest["data"]["columns"]["text"] == ["question", "sentence"]
    lines = jsonl(here / "run" / "predictions" / "validation.jsonl")
    assert all(len(line["text"]) == 2 for line in lines)
    told = bertune("predict", "run", "-", stdin="great phone\tdull lamp\n").fine()
    assert told.lines[0]["question"] == "great phone" and told.lines[0]["sentence"] == "dull lamp"


def test_columns_of_a_headerless_file_are_numbered_from_0(here: Path, quick: tuple[str, ...]) -> None:
    rows = [("source", label, "*", text) for text, label in reviews(20)]
    (here / "raw.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    _, manifest = train(here, quick, "raw.tsv", "data.text=3", "data.label=1")
    assert manifest["data"]["columns"] == {"text": ["3"], "label": "1", "id": None}
    assert manifest["labels"] == ["bad", "good"]
    assert sum(split["rows"] for split in manifest["data"]["splits"].values()) == 20
    told = bertune("predict", "run", "raw.tsv").fine()
    assert [line["3"] for line in told.lines] == [text for text, _ in reviews(20)]


def test_labels_in_json_lines_can_be_integers(here: Path, quick: tuple[str, ...]) -> None:
    labels = [int(label == "good") + 2 * (i % 5 == 0) for i, (_, label) in enumerate(reviews(40))]
    rows = [{"news": text, "label": label} for (text, _), label in zip(reviews(40), labels, strict=True)]
    (here / "news.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, manifest = train(here, quick, "news.jsonl")
    assert manifest["labels"] == ["0", "1", "2", "3"]
    assert manifest["data"]["columns"]["text"] == ["news"]


def test_gb18030_is_read_if_the_encoding_is_set(here: Path, quick: tuple[str, ...]) -> None:
    rows = [(f"手机很好，{i}号", "好评") if i % 2 else (f"屏幕糟糕。第{i}次退货", "差评") for i in range(20)]
    text = "review,label\n" + "".join(f'"{a}",{b}\n' for a, b in rows)
    (here / "a.csv").write_bytes(text.encode("gb18030"))
    _, manifest = train(here, quick, "a.csv", "data.encoding=gb18030")
    assert sorted(manifest["labels"]) == ["好评", "差评"]
    lines = jsonl(here / "run" / "predictions" / "validation.jsonl")
    assert all((line["text"][0], line["gold"]) in rows for line in lines)
    raw = (here / "run" / "predictions" / "validation.jsonl").read_text(encoding="utf-8")
    assert "手机" in raw or "屏幕" in raw, "texts are to be read, not \\u escapes"
    told = bertune("predict", "run", "a.csv").fine()
    assert [line["review"] for line in told.lines] == [a for a, _ in rows]


@pytest.mark.parametrize("form", ["gz", "bom", "semicolon", "boolean", "parquet", "json", "crlf"])
def test_other_file_formats_need_no_settings(here: Path, quick: tuple[str, ...], form: str) -> None:
    rows = reviews(20)
    text = write_csv(here / "plain.csv", rows).read_text()
    records = [{"text": text, "label": label} for text, label in rows]
    name, labels = "a.csv", {"good", "bad"}
    if form == "gz":
        name = "a.csv.gz"
        (here / name).write_bytes(gzip.compress(text.encode()))
    elif form == "bom":
        (here / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    elif form == "semicolon":
        (here / name).write_text(text.replace(",", ";"))
    elif form == "crlf":
        (here / name).write_bytes(text.replace("\n", "\r\n").encode())
    elif form == "boolean":
        name, labels = "a.jsonl", {"true", "false"}
        (here / name).write_text(
            "".join(json.dumps({**r, "label": r["label"] == "good"}) + "\n" for r in records)
        )
    elif form == "json":
        name = "a.json"
        (here / name).write_text(json.dumps(records))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = "a.parquet"
        pq.write_table(pa.Table.from_pylist(records), here / name)
    found = bertune("check", name, quick[0], "--json").fine().json["data"]
    assert sum(split["rows"] for split in found["splits"].values()) == 20
    assert set(found["splits"]["train"]["labels"]) == labels
    assert found["columns"]["text"] == ["text"]


def test_data_files_are_relative_to_the_settings_file(here: Path, encoder: Path) -> None:
    (here / "project").mkdir()
    write_csv(here / "project" / "texts.csv", reviews(20))
    write_csv(here / "project" / "more.csv", reviews(6, 1))
    write_csv(here / "texts.csv", reviews(10))
    (here / "project" / "mine.toml").write_text('[data]\ntrain = "texts.csv"\nvalidation = "more.csv"\n')
    found = bertune("check", "project/mine.toml", f"model.name={encoder}", "--json").fine().json
    assert {name: split["rows"] for name, split in found["data"]["splits"].items()} == {
        "train": 20,
        "validation": 6,
    }


def test_settings_on_the_command_line_override_the_file(here: Path, quick: tuple[str, ...]) -> None:
    write_csv(here / "texts.csv", reviews(20))
    (here / "mine.toml").write_text('[data]\ntrain = "texts.csv"\n[train]\nepochs = 2\nseed = 7\n')
    bertune("train", "mine.toml", *quick, "--out", "run").fine()
    config = (here / "run" / "config.toml").read_text()
    assert "epochs = 1.0" in config and "seed = 7" in config


def test_a_quoted_text_can_contain_any_characters(here: Path, quick: tuple[str, ...]) -> None:
    """Terminal markup, line ends, commas and quotes are part of the text."""
    texts = [
        'great, "really"',
        "two\nlines [bold]great[/bold]",
        "[/] dull",
        "=1+1 broken",
        "noisy <b>&amp;</b>",
    ]
    rows = [(texts[i % 5] + f" {i}", ("[red]good[/red]", "bad")[i % 2]) for i in range(20)]
    (here / "a.csv").write_text(
        "text,label\n" + "".join('"{}",{}\n'.format(text.replace('"', '""'), label) for text, label in rows)
    )
    said = bertune("train", "a.csv", *quick, "--out", "run").fine()
    assert "[red]good[/red]" in said.err
    told = bertune("predict", "run", "a.csv").fine()
    assert [line["text"] for line in told.lines] == [text for text, _ in rows]


def test_the_model_learns_from_decisive_words(here: Path, quick: tuple[str, ...]) -> None:
    """The only test of learning here: labels that depend on a single word are learned."""
    words = [(word, "good") for word in GOOD] + [(word, "bad") for word in BAD]
    rows = [(f"{word} {word} number {i}", label) for i in range(5) for word, label in words]
    write_csv(here / "a.csv", rows)
    said, _ = train(here, quick, "a.csv", "train.epochs=12", "train.batch_size=8")
    assert said.json["scores"]["validation"]["accuracy"] == 1
