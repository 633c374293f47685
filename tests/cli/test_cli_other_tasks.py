"""The columns of another task than the configured one, and settings that look like the name of a folder."""

import json
from pathlib import Path

import pytest

from bertune.source import resolve_source
from tiny import QUICK, bertune

WORDS = "sentence_id,word,tag\n0,Ann,B-PER\n0,sings,O\n1,Bo,B-PER\n1,plays,O\n"
QUESTIONS = "question,context,answers\nwho sings?,Ann sings.,\"{'text': ['Ann'], 'answer_start': [0]}\"\n"
CONLL = "Ann B-PER\nsings O\n\nBo B-PER\nplays O\n"


@pytest.mark.parametrize(
    ("name", "content", "task"),
    [
        ("words.csv", WORDS, "token_classification"),
        ("words.conll", CONLL, "token_classification"),
        ("qa.csv", QUESTIONS, "question_answering"),
    ],
)
def test_the_error_for_unknown_columns_names_the_task_they_belong_to(
    name: str, content: str, task: str, here: Path
) -> None:
    (here / name).write_text(content, encoding="utf-8")
    refused = bertune("check", name, *QUICK, "model.name=nothing")
    assert refused.code == 3
    assert refused.err.startswith(f"error: {name}: could not identify the")
    assert f"task.name={task}" in refused.err
    assert "data.text=" not in refused.err


def test_suggested_columns_are_the_paths_inside_of_objects(here: Path) -> None:
    rows = [{"data": {"note": "a lamp"}, "meta": {"grade": "good", "user": "x"}} for _ in range(3)]
    (here / "nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    refused = bertune("check", "nested.jsonl", "model.name=nothing")
    assert "data.text=data.note data.label=meta.user" in refused.err


def test_a_folder_may_have_the_name_of_a_task_or_a_reader(here: Path) -> None:
    (here / "regression").mkdir()
    (here / "encoder").mkdir()
    (here / "a.csv").write_text("text,score\na,1\n", encoding="utf-8")
    given = {"task.name": "regression", "data.reader": "delimited", "model.name": "encoder"}
    (here / "delimited").mkdir()
    config = resolve_source("a.csv", given, None).config
    assert (config.task.name, config.data.reader) == ("regression", "delimited")
    assert config.model.name == str(here / "encoder")
