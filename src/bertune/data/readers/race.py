"""Reads the JSON of RACE: passages with questions, options and the answers' letters (Lai et al. 2017)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import Question, head, parsed, required, rows
from bertune.data.rows import Row
from bertune.errors import DataError, counted

SUFFIXES = (".json",)

_BEGINS = re.compile(r"\s*(\[\s*)?\{")
_KEYS = [re.compile(rf'"{key}"\s*:\s*["\[]') for key in ("article", "questions", "options")]


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether the file begins with a passage, alone or in a list."""
    start = head(path, options)
    return _BEGINS.match(start) is not None and all(key.search(start) for key in _KEYS)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per question: id, context, question, choices, and label, the position of the right choice.

    The file is read into memory. Raises DataError.
    """
    content = parsed(path, options)
    passages = [content] if isinstance(content, dict) else content
    if not isinstance(passages, list):
        raise DataError(f"{path}: expected a list of passages, found {json_kind(passages)}. Correct the file")
    return rows(path, _questions(path, passages))


def _questions(path: Path, passages: list[Any]) -> Iterator[Question]:
    number = 0
    for position, passage in enumerate(passages, start=1):
        place = f"{path}, passage {position}"
        article = required(passage, "article", str, place)
        questions = required(passage, "questions", list, place)
        options = required(passage, "options", list, place)
        answers = (
            required(passage, "answers", list, place) if "answers" in passage else [None] * len(questions)
        )
        if not len(questions) == len(options) == len(answers):
            raise DataError(
                f"{place}: {counted(len(questions), 'question')}, {counted(len(options), 'option list')} and "
                f"{counted(len(answers), 'answer')}. Expected one of each per question. Correct the file"
            )
        for of_text, (question, choices, answer) in enumerate(
            zip(questions, options, answers, strict=True), start=1
        ):
            number += 1
            where = f"{path}, question {number} (passage {position}, question {of_text} of the passage)"
            if not isinstance(question, str) or not isinstance(choices, list):
                raise DataError(f"{where}: expected a text and a list of options. Correct the file")
            name = passage.get("id", position)
            yield Question(f"{name}-{of_text}", article, question, choices, _position(answer, choices, where))


def _position(answer: object, choices: list[Any], where: str) -> int | None:
    if answer is None or answer == "":
        return None
    letters = [chr(ord("A") + i) for i in range(len(choices))]
    letter = str(answer).strip()
    if letter not in letters:
        expected = f"a letter from {letters[0]} to {letters[-1]}" if letters else "no answer without options"
        raise DataError(f'{where}: the answer is "{letter[:40]}", expected {expected}. Correct the file')
    return letters.index(letter)
