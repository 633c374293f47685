"""DREAM, C3 and RACE: every question is a row with its origin; errors name the question."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.rows import Row
from bertune.data.tables import open_table
from bertune.errors import DataError

DATA = os.environ.get("BERTUNE_DATA")
PUBLISHED = {
    "dream/train.json": (6116, {3}),
    "dream/dev.json": (2040, {3}),
    "dream/test.json": (2041, {3}),
    "c3/c3-d-train.json": (5856, {3, 4}),
    "c3/c3-d-dev.json": (1825, {3, 4}),
    "c3/c3-d-test.json": (1890, {3, 4}),
    "c3/c3-m-train.json": (6013, {2, 3, 4}),
    "c3/c3-m-dev.json": (1991, {2, 3, 4}),
    "c3/c3-m-test.json": (2002, {2, 3, 4}),
    "race_middle/dev.json": (1436, {4}),
    "race_middle/test.json": (1436, {4}),
}
TALK = ["M: Was it good?", "W: No."]
DREAM = [
    [TALK, [{"question": "Was it?", "choice": ["Yes.", "No."], "answer": "No."}], "1-2"],
    [
        ["W: Tea?", "M: Milk."],
        [
            {"question": "What is asked for?", "choice": ["Tea.", "Milk.", "Tea."], "answer": "Milk."},
            {"question": "Who asks?", "choice": ["W", "M"], "answer": "M"},
        ],
        "1-3",
    ],
]
RACE = [
    {
        "answers": ["B", "A"],
        "options": [["one", "two"], ["x", "y", "z"]],
        "questions": ["How many?", "Which _ ?"],
        "article": "Two of x.",
        "id": "middle1.txt",
    }
]


def rows(path: Path, content: Any, **options: object) -> list[Row]:
    raw = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    path.write_bytes(gzip.compress(raw.encode()) if path.suffix == ".gz" else raw.encode())
    return list(open_table(path, DataConfig.model_validate(options), ()).rows())


@pytest.mark.skipif(not DATA, reason="BERTUNE_DATA, the folder of data sets, is not set")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_unchanged(name: str) -> None:
    assert DATA is not None
    num, choices = PUBLISHED[name]
    found = list(open_table(Path(DATA) / name, DataConfig(), ()).rows())
    assert len(found) == num
    assert {len(row.values["choices"]) for row in found} == choices
    assert all(0 <= row.values["label"] < len(row.values["choices"]) for row in found)
    assert len({row.values["id"] for row in found}) == num


@pytest.mark.parametrize("name", ["talks.json", "talks.json.gz"])
def test_a_dream_file_is_recognised_by_its_content(tmp_path: Path, name: str) -> None:
    found = rows(tmp_path / name, DREAM)
    assert [(row.values["id"], row.values["label"]) for row in found] == [
        ("1-2-1", 1),
        ("1-3-1", 1),
        ("1-3-2", 1),
    ]
    assert found[0].values["context"] == "M: Was it good?\nW: No."
    assert found[1].values["choices"] == ["Tea.", "Milk.", "Tea."]
    assert str(found[2].origin) == f"{tmp_path / name}, question 3"


@pytest.mark.parametrize("content", [RACE, RACE[0]])
def test_a_race_file_is_recognised_by_its_content(tmp_path: Path, content: Any) -> None:
    found = rows(tmp_path / "race.json", content)
    assert [tuple(row.values.values()) for row in found] == [
        ("middle1.txt-1", "Two of x.", "How many?", ["one", "two"], 1),
        ("middle1.txt-2", "Two of x.", "Which _ ?", ["x", "y", "z"], 0),
    ]


def test_a_plain_list_of_objects_is_read_as_json(tmp_path: Path) -> None:
    plain = [{"article": "a", "question": "which?", "options": ["a", "b"], "answer": "A"}]
    (row,) = rows(tmp_path / "plain.json", plain)
    assert list(row.values) == ["article", "question", "options", "answer"]


def test_a_file_without_answers_has_no_labels(tmp_path: Path) -> None:
    talk = [[TALK, [{"question": "Was it?", "choice": ["Yes.", "No."]}], "1-2"]]
    assert [row.values["label"] for row in rows(tmp_path / "t.json", talk)] == [None]
    race = [{key: value for key, value in RACE[0].items() if key != "answers"}]
    assert [row.values["label"] for row in rows(tmp_path / "r.json", race)] == [None, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answer": "Noo."},
            r'question 1 \(1-2\): the answer "Noo\." is not one of the choices: Yes\., No\.\. Did',
        ),
        ({"choice": "Yes"}, r'question 1 \(1-2\): "choice" must be a list, got a string'),
        ({"question": 3}, r'question 1 \(1-2\): "question" must be a string, got a number'),
    ],
)
def test_an_invalid_question_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    broken = [[TALK, [DREAM[0][1][0] | change], "1-2"]]  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        rows(tmp_path / "broken.json", broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": ["B", "D"]},
            r'question 2 \(passage 1, .*the answer is "D", expected a letter from A to C',
        ),
        ({"answers": ["B"]}, r"passage 1: 2 questions, 2 option lists and 1 answer\."),
        ({"questions": ["How many?", None]}, r"question 2 .*expected a text and a list of options"),
        ({"article": ["Two"]}, r'passage 1: "article" must be a string, got a list'),
    ],
)
def test_an_invalid_passage_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path / "broken.json", [RACE[0] | change], reader="race")


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        ("dream", '[[["a"], [', r"line 1: not valid JSON"),
        ("dream", [[TALK, DREAM[0][1]]], r"item 1: expected \[lines, questions, id\], found"),
        ("dream", {"a": 1}, r"expected a list of \[lines, questions, id\], found an object"),
        ("race", [[1]], r'passage 1: expected an object with "article", found a list'),
        ("race", [{"text": "a"}], r'passage 1: the key "article" is missing; found text'),
    ],
)
def test_another_format_is_refused_with_the_expected_one(
    tmp_path: Path, reader: str, content: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path / "other.json", content, reader=reader)
