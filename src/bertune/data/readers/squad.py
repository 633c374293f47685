"""Reads the nested JSON of SQuAD and similar data sets: articles, paragraphs, questions."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import head, parsed
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, did_you_mean, listed

SUFFIXES = (".json",)

_ARTICLES = re.compile(r'"data"\s*:\s*\[\s*\{')
# A list of paragraphs, not of articles, under "data".
_CONTEXTS = re.compile(r'"data"\s*:\s*\[\s*\{\s*"(?:context|qas|title)"')
_PARAGRAPHS = re.compile(r'"paragraphs"\s*:\s*\[')
# A list of articles, or of paragraphs without articles, as Simple Transformers reads.
_BARE = re.compile(r'\s*\[\s*\{\s*"(?:context|qas|title|paragraphs)"')
_QUESTIONS = re.compile(r'"qas"\s*:\s*\[\s*\{')
_SHAPE = (
    '{"data": [{"paragraphs": [{"context": "…", "qas": [{"id": "…", "question": "…", "answers": […]}]}]}]}'
)


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a JSON file starts like a list of articles with paragraphs, or like a list of paragraphs."""
    start = head(path, options)
    if _BARE.match(start):
        return bool(_QUESTIONS.search(start))
    if _CONTEXTS.search(start) and _QUESTIONS.search(start):
        return True
    return bool(_ARTICLES.search(start) and _PARAGRAPHS.search(start))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per question: id, question, context, answers, is_impossible. The last two are None if absent.

    The file is read into memory; the line of a row is the number of its question, from 1. Raises DataError
    for another shape and for missing keys.
    """
    content = parsed(path, options)
    content = {"data": content} if isinstance(content, list) else content
    if isinstance(content, Mapping) and isinstance(content.get("data"), list):
        items = content["data"]
        has_articles = any(isinstance(item, Mapping) and "paragraphs" in item for item in items)
        is_bare = any(isinstance(item, Mapping) and "qas" in item for item in items)
        content = {"data": [{"paragraphs": items}] if is_bare and not has_articles else items}
    if not isinstance(content, Mapping) or not isinstance(content.get("data"), list):
        raise DataError(
            f"{path}: expected {_SHAPE}, found {_seen(content)}. Correct the file, or set its actual format,"
            " as in data.reader=json"
        )
    number = 0
    for at_article, article in enumerate(content["data"], 1):
        place = f"{path}, article {at_article}"
        for at_paragraph, paragraph in enumerate(_field(article, "paragraphs", list, place), 1):
            inside = f"{place}, paragraph {at_paragraph}"
            context = _field(paragraph, "context", str, inside)
            for question in _field(paragraph, "qas", list, inside):
                number += 1
                yield _row(question, context, Origin(str(path), number, "question"))


def _row(question: Any, context: str, origin: Origin) -> Row:
    known = question.get("id") if isinstance(question, Mapping) else None
    place = str(origin) if known is None else f'{origin} (id "{known}")'
    values = {
        "id": str(_field(question, "id", str | int, place)),
        "question": _field(question, "question", str, place),
        "context": context,
        "answers": question.get("answers"),
        "is_impossible": question.get("is_impossible"),
    }
    return Row(values, origin)


def _field(owner: Any, key: str, kind: Any, place: str) -> Any:
    value = owner.get(key) if isinstance(owner, Mapping) else None
    if isinstance(value, kind):
        return value
    if not isinstance(owner, Mapping):
        raise DataError(
            f'{place}: expected an object with "{key}", found {json_kind(owner)}. Correct the file'
        )
    seen = f'"{key}" is {json_kind(value)}' if key in owner else f'the key "{key}" is missing'
    hint = "" if key in owner else did_you_mean(key, owner)
    raise DataError(f"{place}: {seen}.{hint} The object has {_keys(owner)}. Expected the format {_SHAPE}")


def _seen(content: object) -> str:
    return f"an object with {_keys(content)}" if isinstance(content, Mapping) else json_kind(content)


def _keys(owner: Mapping[str, Any]) -> str:
    return listed([f'"{key}"' for key in owner]) or "no keys"
