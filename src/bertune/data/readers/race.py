"""Owns reading RACE: passages with questions, their options and the answers' letters (Lai et al. 2017)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import Question, head, parsed, rows, taken
from bertune.data.rows import Row
from bertune.errors import DataError

SUFFIXES = (".json",)

_BEGINS = re.compile(r"\s*(\[\s*)?\{")
_KEYS = [re.compile(rf'"{key}"\s*:\s*["\[]') for key in ("article", "questions", "options")]


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether the file begins with a passage, alone or in a list."""
    start = head(path, options)
    return _BEGINS.match(start) is not None and all(key.search(start) for key in _KEYS)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """A row for each question: id, context, question, choices, and label, the position of the answer."""
    content = parsed(path, options)
    passages = [content] if isinstance(content, dict) else content
    if not isinstance(passages, list):
        raise DataError(f"{path}: expected a list of passages, found {json_kind(passages)}")
    return rows(path, _questions(path, passages))


def _questions(path: Path, passages: list[Any]) -> Iterator[Question]:
    number = 0
    for position, passage in enumerate(passages, start=1):
        place = f"{path}, passage {position}"
        article = taken(passage, "article", str, place)
        questions = taken(passage, "questions", list, place)
        options = taken(passage, "options", list, place)
        answers = taken(passage, "answers", list, place) if "answers" in passage else [None] * len(questions)
        if not len(questions) == len(options) == len(answers):
            raise DataError(
                f"{place}: {len(questions)} questions, {len(options)} lists of options and {len(answers)} "
                "answers; each question needs one of either. Correct the file"
            )
        for of_text, (question, choices, answer) in enumerate(
            zip(questions, options, answers, strict=True), start=1
        ):
            number += 1
            where = f"{path}, question {number} (passage {position}, its question {of_text})"
            if not isinstance(question, str) or not isinstance(choices, list):
                raise DataError(f"{where}: expected a text and a list of options")
            name = passage.get("id", position)
            yield Question(f"{name}-{of_text}", article, question, choices, _position(answer, choices, where))


def _position(answer: object, choices: list[Any], where: str) -> int | None:
    if answer is None or answer == "":
        return None
    letters = [chr(ord("A") + i) for i in range(len(choices))]
    letter = str(answer).strip()
    if letter not in letters:
        shown = f"{letters[0]} to {letters[-1]}" if letters else "none: there are no options"
        raise DataError(
            f'{where}: the answer "{letter[:40]}" is no letter of an option ({shown}). Correct the file'
        )
    return letters.index(letter)
