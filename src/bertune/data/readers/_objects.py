"""Owns how a sequence of objects becomes rows: each an object, all with the same keys."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bertune.data.rows import Origin, Row
from bertune.errors import DataError, did_you_mean, listed


def object_rows(objects: Iterable[tuple[int, object]], file: str, unit: str) -> Iterator[Row]:
    """Rows of numbered objects. Raises DataError for one that is no object or whose keys differ.

    `unit` is what the numbers count, "line" or "row".
    """
    first: tuple[int, list[str]] | None = None
    for number, values in objects:
        place = f"{file}, {unit} {number}"
        if not isinstance(values, Mapping) or not values:
            raise DataError(f'{place}: expected an object such as {{"text": "…"}}, found {json_kind(values)}')
        if first is None:
            first = number, list(values)
            keys = values.keys()
        elif values.keys() != keys:
            raise DataError(f"{place}: {_other_keys(list(values), first[1], f'{unit} {first[0]}')}")
        yield Row(values, Origin(file, number))


def _other_keys(keys: list[str], expected: list[str], first: str) -> str:
    missing = [key for key in expected if key not in keys]
    new = [key for key in keys if key not in expected]
    parts = []
    if missing:
        parts.append(f"without {listed([_quoted(key) for key in missing])}")
    if new:
        hint = did_you_mean(new[0], missing or expected)
        parts.append(f"with the new key {listed([_quoted(key) for key in new])}{hint}")
    return (
        f"an object {', '.join(parts)}; {first} has {listed([_quoted(key) for key in expected])}."
        " Give every object the same keys, with null where a value is unknown"
    )


def _quoted(key: str) -> str:
    return f'"{key}"'


def json_kind(value: object) -> str:
    """What a value is, in JSON's words."""
    if isinstance(value, Mapping):
        return "an object" if value else "an object without keys"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return "a text"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def loads(text: str) -> Any:
    """What a JSON text holds. Raises JSONDecodeError, also where it is nested deeper than Python goes."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise json.JSONDecodeError("it is nested too deeply", text, 0) from error
