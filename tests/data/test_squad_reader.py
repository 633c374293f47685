"""Nested question files: format recognition, rows, and errors with their positions."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.readers import squad
from bertune.data.rows import Row
from bertune.data.tables import open_table
from bertune.errors import DataError

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")

CONTEXT = "Ada sings in Oslo."
ANSWERS = [{"text": "Oslo", "answer_start": 13}]


def question(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"id": f"q{number}", "question": "where does she sing?", "answers": ANSWERS, **changes}


def nested(*questions: Any, **paragraph: Any) -> dict[str, Any]:
    inside = {"context": CONTEXT, "qas": list(questions)} | paragraph
    return {"version": "1.1", "data": [{"title": "Ada", "paragraphs": [inside]}]}


def write(folder: Path, content: Any, name: str = "dev.json") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def rows(path: Path, **options: Any) -> list[Row]:
    return list(open_table(path, DataConfig(**options), ()).rows())


def test_a_nested_file_has_one_row_per_question(tmp_path: Path) -> None:
    content = nested(question(1), question(2, answers=[], is_impossible=True))
    content["data"].append(nested(question(3, id=3))["data"][0])
    found = rows(write(tmp_path, content))
    assert [row.values["id"] for row in found] == ["q1", "q2", "3"]
    assert dict(found[0].values) == {
        "id": "q1",
        "question": "where does she sing?",
        "context": CONTEXT,
        "answers": ANSWERS,
        "is_impossible": None,
    }
    assert found[1].values["is_impossible"] is True
    assert str(found[2].origin) == f"{tmp_path}/dev.json, question 3"


def test_a_list_of_articles_or_of_paragraphs_is_read_like_the_whole_file(tmp_path: Path) -> None:
    content = nested(question(1))
    whole = [row.values for row in rows(write(tmp_path, content))]
    assert [row.values for row in rows(write(tmp_path, content["data"], "a.json"))] == whole
    paragraphs = content["data"][0]["paragraphs"]
    assert [row.values for row in rows(write(tmp_path, paragraphs, "b.json"))] == whole


@pytest.mark.parametrize(
    "content",
    [
        [{"question": "a", "context": '{"data": [{"paragraphs": ['}],
        {"data": [{"question": "where?", "context": CONTEXT}]},
    ],
)
def test_a_plain_list_of_objects_is_not_recognised(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, content)
    assert not squad.recognises(path, DataConfig())
    assert "answers" not in rows(path)[0].values


def test_gzipped_indented_and_utf16_files_are_recognised(tmp_path: Path) -> None:
    text = json.dumps(nested(question()), indent=2)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.json").write_text(text, encoding="utf-16")
    assert rows(tmp_path / "a.json.gz")[0].values["id"] == "q1"
    assert rows(tmp_path / "b.json", encoding="utf-16")[0].values["id"] == "q1"


def test_answers_may_be_absent(tmp_path: Path) -> None:
    bare = {key: value for key, value in question().items() if key != "answers"}
    assert rows(write(tmp_path, nested(bare)))[0].values["answers"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            nested(question(), {"id": "q2", "answers": []}),
            r'question 2 \(id "q2"\): the key "question" is missing',
        ),
        (nested(question(id=None)), r'question 1: "id" is null'),
        (nested(question(question=["x"])), r'question 1 \(id "q1"\): "question" is a list'),
        (nested("where?"), 'question 1: expected an object with "id", found a string'),
        (nested(question(), context=None), 'article 1, paragraph 1: "context" is null'),
        (
            {"data": [{"paragraphs": [{"context": "x", "qa": []}]}]},
            r'the key "qas" is missing.*Did you mean "qa"\?',
        ),
        (
            {"data": [{"title": "x"}, *nested(question())["data"]]},
            'article 1: the key "paragraphs" is missing',
        ),
        ({"data": [{"paragraphs": []}]}, "has no rows"),
        (json.dumps(nested(question()))[:-30], r"line 1: not valid JSON \("),
    ],
)
def test_an_invalid_question_is_reported_with_its_position(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        rows(write(tmp_path, content))
    assert str(tmp_path / "dev.json") in str(error.value)


def test_another_shape_is_refused_if_the_reader_is_set(tmp_path: Path) -> None:
    path = write(tmp_path, {"rows": []})
    with pytest.raises(DataError, match=r'expected \{"data".* found an object with "rows"'):
        next(squad.read(path, DataConfig()))


@needs_data
@pytest.mark.parametrize(
    ("name", "count", "unanswerable"),
    [
        ("squad1_slice/dev.json", 4639, 0),
        ("squad2_half_dev/dev-v2.0.cs224n.json", 6078, 3168),
        ("xquad/xquad.en.json", 1190, 0),
        ("xquad/xquad.zh.json", 1190, 0),
        ("tydiqa_en/tydiqa.goldp.en.train.json", 3696, 0),
        ("tydiqa_en/tydiqa.goldp.en.dev.json", 440, 0),
        ("cmrc2018/cmrc2018_dev.json", 3219, 0),
        ("cmrc2018/cmrc2018_trial.json", 1002, 0),
    ],
)
def test_published_files_are_read_unchanged(name: str, count: int, unanswerable: int) -> None:
    found = rows(Path(DATA or "") / name)
    assert len(found) == count
    assert sum(not row.values["answers"] for row in found) == unanswerable
    assert sum(row.values["is_impossible"] is True for row in found) == unanswerable


def test_a_list_of_paragraphs_needs_no_articles(tmp_path: Path) -> None:
    paragraphs = nested(question(1), question(2))["data"][0]["paragraphs"]
    expected = [row.values for row in rows(write(tmp_path, nested(question(1), question(2)), "nested.json"))]
    for content in (paragraphs, {"version": "1", "data": paragraphs}):
        path = write(tmp_path, content)
        assert squad.recognises(path, DataConfig())
        assert [row.values for row in rows(path)] == expected
    assert not squad.recognises(
        write(tmp_path, [{"context": "a", "question": "b"}], "flat.json"), DataConfig()
    )
