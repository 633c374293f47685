"""Reads JSON Lines: one object per line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.readers._json_errors import fault
from bertune.data.readers._objects import JsonFault, loads, object_rows
from bertune.data.readers._shown import shortened
from bertune.data.rows import Row
from bertune.errors import DataError

SUFFIXES = (".jsonl", ".ndjson")


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of a JSON Lines file; blank lines are skipped. Raises DataError."""
    return rows_of_lines(enumerate(text_lines(path, options.encoding), start=1), str(path))


def rows_of_lines(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Row]:
    """The rows of numbered lines of JSON. Raises DataError."""
    return object_rows(parsed_lines(lines, file), file, "line")


def parsed_lines(lines: Iterable[tuple[int, str]], file: str) -> Iterator[tuple[int, object]]:
    """The JSON values of numbered lines; blank lines are skipped. Raises DataError."""
    for number, line in lines:
        if line.isspace() or not line:
            continue
        try:
            yield number, loads(line.rstrip())  # an error at the end of the line is then on this line
        except json.JSONDecodeError as error:
            raise DataError(_invalid_json(f"{file}, line {number}", line, error)) from error


def _invalid_json(place: str, line: str, error: json.JSONDecodeError) -> str:
    if isinstance(error, JsonFault):
        return fault(place, error)
    seen = f"{place}: not valid JSON ({error.msg}, column {error.colno}): {shortened(line)}"
    if line.strip() in ("[", "{"):
        return f"{seen}. If the whole file is one JSON list, set data.reader=json"
    return f'{seen}. Every line must be one complete object, {{"text": "…"}}'
