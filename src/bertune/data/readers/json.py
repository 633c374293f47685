"""Reads JSON: a list of objects, an object that contains one such list, or a table by column."""

import json
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import first_text, whole_text
from bertune.data.readers import jsonl
from bertune.data.readers._json_errors import invalid_json
from bertune.data.readers._objects import json_kind, loads, object_rows
from bertune.data.readers._orients import records_in
from bertune.data.rows import Row
from bertune.errors import DataError, listed

SUFFIXES = (".json",)

_HEAD = 1 << 20  # characters that are read to recognize JSON Lines; they must contain the first row


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a JSON file, which is read into memory, unless each of its lines is an object.

    The line of a row is its number in the list, from 1. Raises DataError.
    """
    if _has_objects_on_lines(path, options):
        return jsonl.read(path, options)
    text = whole_text(path, options.encoding)
    return object_rows(enumerate(_the_list(path, _parsed(path, text)), start=1), str(path), "row")


def _has_objects_on_lines(path: Path, options: DataConfig) -> bool:
    """Whether a file is JSON Lines: its first two lines are objects that begin and end there."""
    first, *others = [line.strip() for line in first_text(path, options.encoding, _HEAD).split("\n")]
    second = next((line for line in others if line), "")
    return first.startswith("{") and first.endswith("}") and second.startswith("{")


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
    records = records_in(content)
    if records is not None:
        return records
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
