"""Reads the JSON of DREAM and C3: a list of [lines, questions, id] (Sun et al. 2019, 2020)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import Question, head, parsed, required, rows
from bertune.data.rows import Row
from bertune.errors import DataError, did_you_mean, listed

SUFFIXES = (".json",)

_BEGINS = re.compile(r'\s*\[\s*\[\s*\[\s*"')


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether the file begins with a list of lists of lines."""
    return _BEGINS.match(head(path, options)) is not None


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per question: id, context, question, choices, and label, the position of the right choice.

    The file is read into memory. Raises DataError.
    """
    content = parsed(path, options)
    if not isinstance(content, list):
        raise DataError(
            f"{path}: expected a list of [lines, questions, id], found {json_kind(content)}. Set the actual "
            "format of the file, as in data.reader=json"
        )
    return rows(path, _questions(path, content))


def _questions(path: Path, content: list[Any]) -> Iterator[Question]:
    number = 0
    for position, item in enumerate(content, start=1):
        place = f"{path}, item {position}"
        if not (isinstance(item, list) and len(item) == 3 and isinstance(item[1], list)):
            raise DataError(
                f"{place}: expected [lines, questions, id], found {repr(item)[:60]}. Correct the file"
            )
        lines, questions, name = item
        if not (isinstance(lines, list) and all(isinstance(line, str) for line in lines)):
            raise DataError(
                f"{place} ({name}): the first of its three parts must be a list of lines. Correct the file"
            )
        for of_text, question in enumerate(questions, start=1):
            number += 1
            where = f"{path}, question {number} ({name})"
            choices = required(question, "choice", list, where)
            yield Question(
                id=f"{name}-{of_text}",
                context="\n".join(lines),
                question=required(question, "question", str, where),
                choices=choices,
                answer=_position(question["answer"], choices, where) if "answer" in question else None,
            )


def _position(answer: object, choices: list[Any], where: str) -> int | None:
    if answer is None or answer == "":
        return None
    if answer not in choices:
        near = did_you_mean(str(answer), map(str, choices))
        raise DataError(
            f'{where}: the answer "{answer}" is not one of the choices: {listed(choices)}.{near} '
            "Correct the file"
        )
    return choices.index(answer)
