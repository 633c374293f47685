"""Rows that cannot be predicted are reported and do not affect the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertune as bt
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.predict.predictor import ReadableRows, Tally, readable_rows
from bertune.tasks import make_task
from bertune.tasks.encoder import TextEncoder
from bertune.text.tokenizer import Tokenizer

Cells = dict[str, Any]


def read(tiny_weights: Path, task: str, rows: list[Cells], **options: Any) -> ReadableRows:
    """Rows as read by a model of a task, with texts of at most 24 tokens."""
    made = make_task(TaskConfig(name=task, **options))
    encoder = TextEncoder(made.fitted(("answer",)), Tokenizer.pretrained(tiny_weights), 24)
    numbered = [Row(row, Origin("new.jsonl", line)) for line, row in enumerate(rows, 1)]
    return readable_rows(numbered, encoder, Columns(tuple(rows[0]), None, None))


def choice(choices: Any, question: str = "it was") -> dict[str, Any]:
    return {"context": "the phone", "question": question, "choices": choices}


@pytest.mark.parametrize(
    ("task", "options", "good", "bad", "why"),
    [
        ("multiple_choice", {}, choice(["great", "dull"]), choice(["great"]), "at least two choices"),
        ("multiple_choice", {}, choice(["great", "dull"]), choice("great"), "must hold a list of choices"),
        (
            "question_answering", {"max_question": 8},
            {"question": "was it great", "context": "the phone was great"},
            {"question": "was it " * 5, "context": "the phone was great"},
            r"10 tokens, more than task\.max_question=8",
        ),
        (
            "question_answering", {},
            {"question": "was it great", "context": "the phone was great"},
            {"question": "was it " * 9, "context": "the phone was great"},
            "leaves only 3 of the 24 tokens in a window",
        ),
        (
            "regression", {"long_texts": "windows", "stride": 4, "low": 0, "high": 1},
            {"text_a": "the phone", "text_b": "it was great " * 12},
            {"text_a": "the phone " * 12, "text_b": "it was great " * 12},
            "the first text of this pair has 24 tokens",
        ),
        (
            "token_classification", {"scheme": "plain"},
            {"tokens": ["the", "phone"]}, {"tokens": ["the", ""]}, "token 2 .* empty",
        ),
        ("embeddings", {}, {"text": "the phone"}, {"text": ["the", "phone"]}, "contains a list instead of"),
    ],
    ids=["one choice", "no list", "long question", "no room", "first text", "empty token", "list for a text"],
)  # fmt: skip
def test_an_invalid_row_is_reported_and_the_others_are_predicted(
    tiny_weights: Path, task: str, options: dict[str, Any], good: Cells, bad: Cells, why: str
) -> None:
    found = read(tiny_weights, task, [good, bad, good, good, bad], **options)
    assert found.is_readable == [True, False, True, True, False]
    assert len(found.failures) == 2
    for line, failure in zip((2, 5), found.failures, strict=True):
        assert failure.args[0].startswith(f"new.jsonl, line {line}")
        with pytest.raises(DataError, match=why):
            raise failure
    alone = read(tiny_weights, task, [good, good, good], **options)
    assert [s.group for s in found.sequences] == [s.group for s in alone.sequences]
    for one, other in zip(found.sequences, alone.sequences, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
    assert found.with_gaps("abc") == ["a", None, "b", "c", None]


def test_rows_without_text_are_not_failures(tiny_weights: Path) -> None:
    found = read(tiny_weights, "embeddings", [{"text": " "}, {"text": "the phone"}])
    assert (found.num_blank, found.failures, found.is_readable) == (1, [], [False, True])


def test_a_table_without_a_predictable_row_is_an_error(tiny_weights: Path) -> None:
    bad, good = {"text": ["the"]}, {"text": "the phone"}
    tally = Tally()
    with pytest.raises(
        DataError, match=r"(?s)new\.jsonl, line 2: .*The other rows cannot be predicted either"
    ):
        tally.add(read(tiny_weights, "embeddings", [{"text": ""}, bad, bad]))
    tally.add(read(tiny_weights, "embeddings", [good, bad, {"text": ""}]))
    tally.add(read(tiny_weights, "embeddings", [bad]))  # earlier rows could be predicted
    assert (tally.rows, tally.blank, tally.failed) == (4, 1, 2)
    assert len(tally.failures) == 2


def test_an_unpredictable_row_is_none_in_python_and_empty_in_files(
    classifier: bt.Run, tmp_path: Path
) -> None:
    rows: list[Cells] = [{"text": "great phone"}, {"text": ["dull"]}, {"text": ""}, {"text": "dull lamp"}]
    model = bt.load(classifier)
    assert [p is None for p in model.predict(rows)] == [False, True, True, False]
    assert model.predict(rows[1:2]) == [None]
    assert np.isnan(model.predict_proba(rows)).all(1).tolist() == [False, True, True, False]
    written = model.predict_file(rows, tmp_path / "out.jsonl")
    assert (written.rows, written.blank, written.failed) == (4, 1, 1)
    assert "row 2" in written.failures[0] or "line 2" in written.failures[0]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == [row["text"] for row in rows]
    assert [line["label"] is None for line in lines] == [False, True, True, False]
