"""Tokens, tags and spans written as text in the cells of a table."""

import json
from typing import Any

import numpy as np
import pytest

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.tasks import make_task

WORDS = Columns(("tokens",), "tags", None)
TEXT = Columns(("text",), "spans", None)


def parsed(columns: Columns, text: Any, gold: Any) -> Any:
    row = Row({columns.text[0]: text, str(columns.label): gold}, Origin("a.csv", 7))
    return make_task(TaskConfig(name="token_classification")).parse(row, columns)


@pytest.mark.parametrize("write", [str, json.dumps, lambda words: str(np.array(words))])
def test_tokens_and_tags_can_be_written_as_text(write: Any) -> None:
    found = parsed(WORDS, write(["Ada", "sings", "[1]"]), write(["B-PER", "O", "O"]))
    assert found.texts == ("Ada sings [1]",)
    assert found.gold == ("B-PER", "O", "O")


def test_a_text_with_spans_is_never_read_as_a_list() -> None:
    assert parsed(TEXT, '["Ada"]', "[[2, 5, 'PER']]").texts == ('["Ada"]',)
    assert [span.label for span in parsed(TEXT, "Ada", "{'entities': [(0, 3, 'PER')]}").spans] == ["PER"]
