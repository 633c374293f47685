"""Reads JSON: a list of objects, or an object that contains one such list."""

import json
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import whole_text
from bertune.data.readers._json_errors import invalid_json
from bertune.data.readers._objects import json_kind, loads, object_rows
from bertune.data.rows import Row
from bertune.errors import DataError, listed

SUFFIXES = (".json",)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a JSON file, which is read into memory.

    The line of a row is its number in the list, from 1. Raises DataError.
    """
    text = whole_text(path, options.encoding)
    return object_rows(enumerate(_the_list(path, _parsed(path, text)), start=1), str(path), "row")


def _parsed(path: Path, text: str) -> object:
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise DataError(
                f"{path}, line {error.lineno}: found a second JSON value, expected a single list. If every"
                " line is one object, set data.reader=jsonl"
            ) from error
        raise DataError(invalid_json(path, text, error)) from error


def _the_list(path: Path, content: object) -> list[object]:
    if isinstance(content, list):
        return content
    expected = 'expected a list of objects, [{"text": "…"}, …]'
    if not isinstance(content, dict):
        raise DataError(f"{path}, line 1: {expected}, found {json_kind(content)}. Correct the file")
    lists = {
        key: value
        for key, value in content.items()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    }
    if len(lists) == 1:
        return next(iter(lists.values()))
    if lists:
        raise DataError(
            f"{path}, line 1: found several lists of objects, {listed(list(lists))}, expected one."
            " Write the list to use to a separate file"
        )
    inside = [f'"{key}": {json_kind(value)}' for key, value in content.items()]
    raise DataError(
        f"{path}, line 1: {expected}, found an object with {listed(inside, 6) or 'no keys'}."
        ' Write the file as a list (pandas: to_json(orient="records"))'
    )
