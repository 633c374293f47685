"""Rows that are stored with an export give the same examples as the validation split."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.export.reference import sample_of
from bertune.export.rows import RowsRecord, StoredRows
from bertune.source import resolve_source
from bertune.training import preparing, reading


def lines(*values: Any) -> str:
    """JSON Lines."""
    return "".join(f"{json.dumps(value)}\n" for value in values)


# Kind: name of the file, its content, settings.
TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "csv": (
        "reviews.csv",
        'id,text,label\nx1,"fine, really",good\nx2,"a ""quote""",bad\nx3,007,good\n',
        {"data.id": "id"},
    ),
    "json": (
        "reviews.jsonl",
        lines(
            {"text": "fine", "label": True, "stars": 3.0, "note": None},
            {"text": "Zürich 北京 \u2028", "label": False},
            {"text": "1e3", "label": True, "extra": {"a": [1, 2]}},
        ),
        {"data.label": "label"},
    ),
    "no-header": (
        "pairs.tsv",
        "one\ttwo\t1\nthree\tfour\t0\nfive, six\tseven\t1\n",
        {"data.text": "0,1", "data.label": "2"},
    ),
    "decimal-commas": (
        "scores.csv",
        "text;score\n3,5;3,5\nwell, fine;1,25\nbad;0,5\n",
        {"task.name": "regression", "data.label": "score"},
    ),
    "thousands": (
        "prices.csv",
        "text;score\nfine;1.000\ngood;2.500,5\nbad;750\n",
        {"task.name": "regression", "data.label": "score"},
    ),
    "ambiguous-thousands": (
        "prices.csv",
        "text;score\nfine;1,000\ngood;2,500\nbad;750\n",
        {"task.name": "regression", "data.label": "score", "data.decimal": "point"},
    ),
    "nested": (
        "nested.jsonl",
        lines(
            {"data": {"text": "fine"}, "gold": {"label": "a"}},
            {"data": {"text": "bad"}, "gold": {"label": "b"}},
        ),
        {"data.text": "data.text", "data.label": "gold.label"},
    ),
    "multi-hot": (
        "labels.csv",
        'text,labels\nfine,"[1, 0, 1]"\nbad,"[0, 0, 0]"\nso,"[0, 1, 0]"\n',
        {"task.name": "multilabel", "task.names": "a,b,c"},
    ),
    "label-columns": (
        "columns.csv",
        "text,a,b\nfine,1,0\nbad,0,0\nso,0,1\n",
        {"task.name": "multilabel", "task.columns": "a,b"},
    ),
    "token-lists": (
        "tokens.jsonl",
        lines(
            {"tokens": ["Ada", "sings"], "tags": ["B-PER", "O"]},
            {"tokens": ["in", "Oslo"], "tags": ["O", "B-LOC"]},
        ),
        {"task.name": "ner"},
    ),
    "spans": (
        "spans.jsonl",
        lines(
            {"text": "Ada sings", "spans": [[0, 3, "PER"]]},
            {"text": "in Oslo ", "spans": [{"start": 3, "end": 8, "label": "LOC"}]},
        ),
        {"task.name": "ner"},
    ),
    # Sentence numbers start again in the next document, and empty cells repeat the one above.
    "word-rows": (
        "words.csv",
        "sentence,word,tag\n1,Ada,B-PER\n,sings,O\n2,in,O\n2,Oslo,B-LOC\n1,it,O\n1,rains,O\n",
        {"task.name": "ner", "data.text": "word", "data.label": "tag"},
    ),
    "conll": (
        "words.txt",
        "Ada B-PER\nsings O\n\nin O\nOslo B-LOC\n",
        {"task.name": "ner", "data.reader": "conll"},
    ),
    "squad": (
        "squad.json",
        lines({"data": [{"paragraphs": [{"context": "Ada sings.", "qas": [
            {"id": "q1", "question": "who?", "answers": [{"text": "Ada", "answer_start": 0}]},
            {"id": "q2", "question": "where?", "answers": [], "is_impossible": True},
        ]}]}]}),
        {"task.name": "qa"},
    ),
    "choices": (
        "choices.jsonl",
        lines(
            {"context": "rain", "question": "need", "choices": ["sun", "umbrella"], "label": 1},
            {"context": "ill", "question": "at", "choices": ["home", "work", "sea"], "label": "A"},
        ),
        {"task.name": "multiple_choice"},
    ),
    "ranking": (
        "ranking.csv",
        "query,document,grade\nq one,d one,1\nq one,d two,0\nq two,d one,2\nq two,d two,0\n",
        {"task.name": "ranking"},
    ),
    "triplets": (
        "triplets.tsv", "a\tb\tc\nd\te\tf\n", {"task.name": "embeddings", "data.text": "0,1,2"},
    ),
    "documents": (
        "texts.txt",
        "one line\nand another\n\nsecond text\n",
        {"task.name": "mlm", "data.reader": "documents"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_stored_rows_give_the_same_examples(kind: str, tmp_path: Path) -> None:
    name, content, settings = TABLES[kind]
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    source = resolve_source(str(file), {**settings, "data.validation": str(file)})
    tables = reading.read(source)
    expected = tables.examples["validation"]
    table, columns, _ = reading.open_split(source, "validation", tables.task)
    rows = StoredRows.of_table(table, columns, range(len(expected)))
    for stored in (rows, rows.as_read()):
        found = stored.examples(tables.task)
        assert preparing.fingerprint(found) == preparing.fingerprint(expected)
        assert [e.id for e in found] == [e.id for e in expected]
        origins = [str(e.origin).replace(str(tmp_path) + "/", "") for e in expected]
        assert [str(e.origin) for e in found] == origins


def test_single_sentences_of_a_table_of_words_are_stored_as_they_are(tmp_path: Path) -> None:
    """Neighbours in a sample can have the same sentence number without being one sentence."""
    name, content, settings = TABLES["word-rows"]
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    source = resolve_source(str(file), {**settings, "data.validation": str(file)})
    tables = reading.read(source)
    table, columns, _ = reading.open_split(source, "validation", tables.task)
    rows = StoredRows.of_table(table, columns, (0, 2)).as_read()
    assert [e.texts for e in rows.examples(tables.task)] == [("Ada sings",), ("it rains",)]


def test_values_that_json_does_not_have_are_stored_as_they_are_read() -> None:
    values = {
        "text": datetime.date(2024, 5, 1),
        "label": decimal.Decimal("3.50"),
        "blob": b"\x00",
        "list": (1, float("nan")),
    }
    row = Row(values, Origin("a/b.parquet", 7, "row"))
    rows = StoredRows((row,), Columns(("text",), "label", None), tuple(values))
    [read] = rows.as_read().rows
    assert dict(read.values) == {"text": "2024-05-01", "label": "3.5", "blob": None, "list": [1, None]}
    assert str(read.origin) == "a/b.parquet, row 7"


def test_too_few_or_too_many_stored_values_are_noticed() -> None:
    rows = StoredRows((Row({"text": "a"}, Origin("a.csv", 2)),), Columns(("text",), None, None), ("text",))
    record = RowsRecord.model_validate(rows.record().to_json())
    for values in ([], [{"text": "a"}, {"text": "b"}]):
        with pytest.raises(ValueError, match="rows than expected"):
            StoredRows.of_record(record, values)


def sampled(keys: list[str | None], most: int, text: str = "a") -> list[int]:
    rows = tuple(Row({"text": text}, Origin("a.csv", n)) for n in range(len(keys)))
    return sample_of(StoredRows(rows, Columns(("text",), None, None), ("text",)), keys, most)


def test_a_sample_is_evenly_spaced_and_in_order() -> None:
    assert sampled([None] * 10, 10) == list(range(10))
    assert sampled([None] * 10, 5) == [0, 2, 4, 6, 8]
    assert sampled([None] * 10, 3) == [0, 3, 6]
    assert sampled([None] * 3, 10) == [0, 1, 2]
    assert sampled([None] * 10, 0) == []


def test_rows_with_the_same_key_are_sampled_together() -> None:
    keys: list[str | None] = ["a", "b", "a", "b", "c", "c", "d", None]
    assert sampled(keys, 8) == list(range(8))
    assert sampled(keys, 4) == [0, 2, 4, 5]  # a and c
    assert sampled(["a"] * 5, 2) == [0, 1, 2, 3, 4]  # the first group is kept whole


def test_long_rows_limit_a_sample_by_their_size() -> None:
    assert len(sampled([None] * 8, 8, "x" * 1_500_000)) == 3
