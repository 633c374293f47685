"""Owns reading JSON: a list of objects, or an object that holds one such list."""

import json
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import whole_text
from bertune.data.readers._no_json import no_json
from bertune.data.readers._objects import json_kind, loads, object_rows
from bertune.data.rows import Row
from bertune.errors import DataError, listed

SUFFIXES = (".json",)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The rows of a JSON file, held in memory; a row's line is its number in the list, from 1."""
    text = whole_text(path, options.encoding)
    return object_rows(enumerate(_the_list(path, _parsed(path, text)), start=1), str(path), "row")


def _parsed(path: Path, text: str) -> object:
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise DataError(
                f"{path}, line {error.lineno}: after a first JSON value there is another; if every line is an"
                " object of its own, say data.reader=jsonl"
            ) from error
        raise DataError(no_json(path, text, error)) from error


def _the_list(path: Path, content: object) -> list[object]:
    if isinstance(content, list):
        return content
    wanted = 'expected a list of objects, [{"text": "…"}, …]'
    if not isinstance(content, dict):
        raise DataError(f"{path}, line 1: {wanted}, found {json_kind(content)}")
    lists = {
        key: value
        for key, value in content.items()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    }
    if len(lists) == 1:
        return next(iter(lists.values()))
    if lists:
        raise DataError(
            f"{path}, line 1: found several lists of objects, {listed(list(lists))};"
            " write the one you mean to a file of its own"
        )
    inside = [f'"{key}": {json_kind(value)}' for key, value in content.items()]
    raise DataError(
        f"{path}, line 1: {wanted}, found an object with {listed(inside, 6) or 'nothing in it'};"
        ' write it as a list (pandas: to_json(orient="records"))'
    )
