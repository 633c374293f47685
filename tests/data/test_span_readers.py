"""Exports of annotation tools: JSON from Label Studio, Prodigy and spaCy."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.tables import open_table
from bertune.errors import DataError


def values(path: Path, content: Any) -> list[Any]:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return [row.values for row in open_table(path, DataConfig(), ()).rows()]


def task(text: str, *annotations: Any) -> dict[str, Any]:
    return {"id": 9, "data": {"text": text}, "annotations": list(annotations), "predictions": []}


def annotation(start: int, end: int, text: str, label: str = "PER", **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    return {"result": [{"value": value, "from_name": "label", "type": "labels"}], **more}


def test_label_studio_is_recognised_by_its_content(tmp_path: Path) -> None:
    content = [task("Ada sings", annotation(0, 3, "Ada")), task("nobody")]
    assert values(tmp_path / "a.json", content) == [
        {"id": "9", "text": "Ada sings", "spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ada"}]},
        {"id": "9", "text": "nobody", "spans": None},
    ]


def test_offsets_counted_by_a_browser_are_converted_to_characters(tmp_path: Path) -> None:
    (row,) = values(tmp_path / "a.json", [task("😀 Ada sings", annotation(3, 6, "Ada"))])
    (span,) = row["spans"]
    assert (span["start"], span["end"]) == (2, 5)


def test_the_ground_truth_is_selected_from_several_annotations(tmp_path: Path) -> None:
    mine, other = annotation(0, 3, "Ada"), annotation(4, 9, "sings")
    skipped = annotation(4, 9, "sings", was_cancelled=True)
    assert len(values(tmp_path / "a.json", [task("Ada sings", skipped, mine)])[0]["spans"]) == 1
    (row,) = values(tmp_path / "a.json", [task("Ada sings", other, {**mine, "ground_truth": True})])
    assert row["spans"][0]["text"] == "Ada"
    with pytest.raises(DataError, match=r"a\.json, task 1: 2 annotations differ"):
        values(tmp_path / "a.json", [task("Ada sings", mine, other)])


def test_spans_of_pages_are_refused(tmp_path: Path) -> None:
    value = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "hypertextlabels": ["PER"]}
    content = [task("<p>Ada</p>", {"result": [{"value": value, "type": "hypertextlabels"}]})]
    with pytest.raises(
        DataError, match=r'a\.json, task 1: spans of the type "hypertextlabels" are positions in a page'
    ):
        values(tmp_path / "a.json", content)


def choice(*choices: str, name: str = "sentiment", **more: Any) -> dict[str, Any]:
    return {"result": [{"value": {"choices": list(choices)}, "from_name": name, "type": "choices"}], **more}


def test_choices_of_label_studio_are_labels(tmp_path: Path) -> None:
    content = [task("a", choice("good")), task("b", choice("good", "new")), task("c"), task("d", choice())]
    rows = values(tmp_path / "a.json", content)
    assert [row["label"] for row in rows] == ["good", ["good", "new"], None, []]
    assert set(rows[0]) == {"id", "text", "label"}
    stars = {"result": [{"value": {"rating": 4}, "from_name": "stars", "type": "rating"}]}
    assert [row["label"] for row in values(tmp_path / "c.json", [task("a", stars), task("b")])] == [4, None]
    both = {"result": [*choice("good")["result"], *choice("short", name="length")["result"]]}
    (row,) = values(tmp_path / "b.json", [task("a", both)])
    assert (row["sentiment"], row["length"]) == ("good", "short")
    with pytest.raises(DataError, match=r"a\.json, task 1: 2 annotations differ"):
        values(tmp_path / "a.json", [task("a", choice("good"), choice("bad"))])
    chosen = [task("a", choice("good"), choice("bad", ground_truth=True))]
    assert values(tmp_path / "a.json", chosen)[0]["label"] == "bad"


def prodigy(*tasks: dict[str, Any]) -> str:
    return "".join(json.dumps({"text": "Ada sings", "_input_hash": 1, **one}) + "\n" for one in tasks)


def test_accepted_tasks_of_prodigy_are_rows(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "label": "PER"}
    tokens = [{"text": "Ada", "start": 0, "end": 3, "id": 0}]
    answers = ("accept", "reject", "ignore")
    content = prodigy(*({"tokens": tokens, "spans": [span], "answer": answer} for answer in answers))
    (row,) = values(tmp_path / "a.jsonl", content)
    assert row == {"text": "Ada sings", "spans": [span]}


def test_choices_and_labels_of_prodigy_are_labels(tmp_path: Path) -> None:
    options = [{"id": "good", "text": "Good"}]
    tasks = [
        {"options": options, "accept": ["good"], "answer": "accept"},
        {"options": options, "accept": ["good"], "config": {"choice_style": "multiple"}, "answer": "accept"},
        {"options": options, "accept": [], "answer": "reject"},
    ]
    assert [row["label"] for row in values(tmp_path / "a.jsonl", prodigy(*tasks))] == ["good", ["good"]]
    tasks = [{"label": "NEWS", "answer": answer} for answer in ("accept", "reject", "ignore")]
    assert [row["label"] for row in values(tmp_path / "a.jsonl", prodigy(*tasks))] == ["NEWS", "not NEWS"]
    with pytest.raises(DataError, match=r'a\.jsonl, line 2: expected an object with "answer"'):
        values(tmp_path / "a.jsonl", prodigy(tasks[0], {"answer": "yes"}))


def test_spacy_pairs_are_recognised_by_their_content(tmp_path: Path) -> None:
    pairs = [["Ada sings", {"entities": [[0, 3, "PER"]]}], ["nobody", {"entities": []}]]
    expected = [{"text": "Ada sings", "spans": [[0, 3, "PER"]]}, {"text": "nobody", "spans": []}]
    assert values(tmp_path / "a.json", pairs) == expected
    assert values(tmp_path / "b.json", {"classes": ["PER"], "annotations": [*pairs, None]}) == expected
    with pytest.raises(DataError, match=r'a\.json, text 2: expected \["text", .* found \[\'no\'\]'):
        values(tmp_path / "a.json", [pairs[0], ["no"]])


def test_documents_of_spacy_are_read_from_json_and_from_lines(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    tokens = [{"id": 0, "start": 0, "end": 3}, {"id": 1, "start": 4, "end": 9}]
    documents = [
        {"text": "Ada sings", "ents": spans, "sents": [{"start": 0, "end": 9}], "tokens": tokens},
        {"text": "nobody", "ents": [], "tokens": [{"id": 0, "start": 0, "end": 6}]},
    ]
    expected = [{"text": "Ada sings", "spans": spans}, {"text": "nobody", "spans": []}]
    assert values(tmp_path / "a.json", documents) == expected
    assert values(tmp_path / "b.json", documents[0]) == expected[:1]
    lines = "\n".join(json.dumps(document) for document in documents)
    assert values(tmp_path / "c.jsonl", lines) == expected
    pairs = [["Ada sings", {"entities": [[0, 3, "PER"]]}], ["nobody", {"entities": []}]]
    lines = "\n".join(json.dumps(pair) for pair in pairs)
    assert [row["text"] for row in values(tmp_path / "d.JSONL", lines)] == ["Ada sings", "nobody"]
    with pytest.raises(DataError, match=r'e\.jsonl, line 2: expected \["text", .* found \{\'text\': \'x\'\}'):
        values(tmp_path / "e.jsonl", json.dumps(documents[0]) + '\n{"text": "x"}')


def test_other_json_is_left_to_its_readers(tmp_path: Path) -> None:
    assert values(tmp_path / "a.json", [{"text": "Ada", "label": [[0, 3, "PER"]]}]) == [
        {"text": "Ada", "label": [[0, 3, "PER"]]}
    ]
