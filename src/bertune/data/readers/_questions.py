"""Converts questions nested in a JSON file to rows, one per question."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import first_text, whole_text
from bertune.data.readers._json_errors import invalid_json
from bertune.data.readers._objects import json_kind, loads
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

_HEAD = 1 << 16  # characters that are read to recognize a format


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its context and choices. `answer` is the position of the right one, None if unknown."""

    id: str
    context: str
    question: str
    choices: list[Any]
    answer: int | None


def rows(path: Path, questions: Iterable[Question]) -> Iterator[Row]:
    """One row per question, numbered from 1 over the whole file."""
    for number, question in enumerate(questions, start=1):
        values = {
            "id": question.id,
            "context": question.context,
            "question": question.question,
            "choices": question.choices,
            "label": question.answer,
        }
        yield Row(values, Origin(str(path), number, "question"))


def head(path: Path, options: DataConfig) -> str:
    """The first characters of a file, for format recognition."""
    return first_text(path, options.encoding, _HEAD)


def parsed(path: Path, options: DataConfig) -> object:
    """The JSON value in a file. Raises DataError with the position of a syntax error."""
    text = whole_text(path, options.encoding)
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        raise DataError(invalid_json(path, text, error)) from error


def required(item: object, key: str, kind: type, place: str) -> Any:
    """The value of a required key, which must have the type `kind`. Raises DataError with `place`."""
    if not isinstance(item, Mapping):
        raise DataError(f'{place}: expected an object with "{key}", found {json_kind(item)}')
    if key not in item:
        raise DataError(
            f'{place}: the key "{key}" is missing; found {", ".join(map(str, item)) or "no keys"}. Correct'
            " the file"
        )
    if not isinstance(item[key], kind):
        expected = "a list" if kind is list else "a string"
        raise DataError(f'{place}: "{key}" must be {expected}, got {json_kind(item[key])}. Correct the file')
    return item[key]
