"""Objects on stdin can use other usual column names than the training file."""

import json
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from tiny import bertune

PAIRS = [("why ?", "great phone"), ("who ?", "dull lamp"), ("when ?", "slow bus")]


@pytest.fixture(scope="module")
def folder(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models for words, pairs and vectors. Read only."""
    folder = tmp_path_factory.mktemp("stdin")
    words = [{"tokens": ["Ada", "sings"], "tags": ["B-PER", "O"]}, {"tokens": ["so"], "tags": ["O"]}]
    pairs = [{"query": "why ?", "document": d, "grade": i % 2} for i, (_, d) in enumerate(PAIRS)]
    vectors = [{"anchor": q, "positive": d} for q, d in PAIRS]
    for name, rows in (("token_classification", words), ("ranking", pairs), ("embeddings", vectors)):
        own = {"task.name": name, "model.name": str(tiny_weights), "train.epochs": 1}
        bt.train({"train": rows, "validation": rows}, settings=own, out=folder / name)
    return folder


def said(run: Path, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    stdin = "".join(json.dumps(o) + "\n" for o in objects)
    return bertune("predict", run, "-", stdin=stdin).fine().lines


def test_a_model_trained_on_tokens_tags_raw_text(folder: Path) -> None:
    (raw,) = said(folder / "token_classification", {"text": "Ada sings."})
    assert raw["words"] == ["Ada", "sings", "."]
    (with_id,) = said(folder / "token_classification", {"id": 3, "text": "Ada sings."})
    assert with_id["id"] == 3 and with_id["tags"] == raw["tags"]
    (listed,) = said(folder / "token_classification", {"tokens": ["Ada", "sings", "."]})
    assert listed["tags"] == raw["tags"]


def test_pairs_can_have_other_usual_column_names(folder: Path) -> None:
    (own,) = said(folder / "ranking", {"query": "why ?", "document": "great phone"})
    (other,) = said(folder / "ranking", {"question": "why ?", "answer": "great phone"})
    assert own["score"] == other["score"]


def test_vectors_are_computed_for_texts_pairs_and_other_column_names(folder: Path) -> None:
    (pair,) = said(folder / "embeddings", {"anchor": "why ?", "positive": "great phone"})
    (other,) = said(folder / "embeddings", {"sentence1": "why ?", "sentence2": "great phone"})
    assert pair["vector"] is None and pair["similarities"] == other["similarities"]
    (single,) = said(folder / "embeddings", {"text": "why ?"})
    (named,) = said(folder / "embeddings", {"sentence": "why ?", "id": "x"})
    assert single["vector"] == named["vector"] and single["similarities"] is None


@pytest.mark.parametrize(
    ("run", "given", "parts"),
    [
        (
            "ranking",
            {"q": "why ?", "d": "x"},
            ["could not identify the 2 text columns", 'columns were "query", "document"'],
        ),
        (
            "token_classification",
            {"a": "x", "b": "y"},
            ["could not identify the text column", 'the text column was "tokens"'],
        ),
    ],
)
def test_objects_without_the_text_column_are_refused_with_its_name(
    folder: Path, run: str, given: dict[str, Any], parts: list[str]
) -> None:
    refused = bertune("predict", folder / run, "-", stdin=json.dumps(given) + "\n")
    assert refused.code == 3 and refused.out == "" and refused.err.count("error:") == 1
    assert all(part in refused.err for part in parts), refused.err


def test_a_pair_is_refused_by_a_model_for_single_texts(trained: Any) -> None:
    stdin = json.dumps({"question": "why ?", "sentence": "great phone"}) + "\n"
    refused = bertune("predict", trained.run, "-", stdin=stdin)
    assert refused.code == 3 and "trained on 1 text column (text)" in refused.err
    assert "but got 2 text columns (question, sentence)" in refused.err
