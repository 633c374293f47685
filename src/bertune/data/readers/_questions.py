"""Owns how questions nested in a JSON file become rows, one a question."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import first_text, whole_text
from bertune.data.readers._no_json import no_json
from bertune.data.readers._objects import json_kind, loads
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

_HEAD = 1 << 16  # characters within which a file shows what it is


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a file has it; the answer is a position, None where the file has none."""

    id: str
    context: str
    question: str
    choices: list[Any]
    answer: int | None


def rows(path: Path, questions: Iterable[Question]) -> Iterator[Row]:
    """A row for each question, numbered from 1 through the whole file."""
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
    """The first characters of a file."""
    return first_text(path, options.encoding, _HEAD)


def parsed(path: Path, options: DataConfig) -> object:
    """The JSON value that a file holds. Raises DataError with the place."""
    text = whole_text(path, options.encoding)
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        raise DataError(no_json(path, text, error)) from error


def taken(item: object, key: str, kind: type, place: str) -> Any:
    """The value of a key that must be there and of a kind. Raises DataError."""
    if not isinstance(item, Mapping):
        raise DataError(f'{place}: expected an object with "{key}", found {json_kind(item)}')
    if key not in item:
        raise DataError(f'{place}: there is no "{key}"; there are {", ".join(map(str, item)) or "no keys"}')
    if not isinstance(item[key], kind):
        wanted = "a list" if kind is list else "a text"
        raise DataError(f'{place}: "{key}" must be {wanted}; it is {json_kind(item[key])}')
    return item[key]
