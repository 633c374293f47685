"""Parses JSON strictly, and converts a sequence of objects to rows."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError


def object_rows(objects: Iterable[tuple[int, object]], file: str, unit: str) -> Iterator[Row]:
    """The rows of numbered objects, whose keys may differ.

    `unit` is what the numbers count: "line" or "row". Raises DataError for a value that is not an object.
    """
    is_first = True
    for number, values in objects:
        # A later empty object is a row in which all optional keys are absent.
        if not isinstance(values, Mapping) or (not values and is_first):
            is_whole = unit == "line" and number == 1 and isinstance(values, list)
            hint = ". If the whole file is one JSON list, set data.reader=json" if is_whole else ""
            raise DataError(
                f'{file}, {unit} {number}: expected an object such as {{"text": "…"}}, found '
                f"{json_kind(values)}{hint}"
            )
        yield Row(values, Origin(file, number))
        is_first = False


def json_kind(value: object) -> str:
    """The JSON type of a value, for an error message."""
    if isinstance(value, Mapping):
        return "an object" if value else "an object without keys"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return "a string"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


class JsonFault(json.JSONDecodeError):
    """JSON that is well-formed but that bertune refuses; `remedy` says what to do."""

    def __init__(self, message: str, text: str, position: int, remedy: str) -> None:
        super().__init__(message, text, position)
        self.remedy = remedy


class _KeyTwiceError(ValueError):
    """An object has a duplicate key. The parser does not report where."""


def _pairs_to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _KeyTwiceError
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs_to_dict)
# The supported formats nest up to 10 levels. Python's own limit is about 1,000, but a value close to it may
# fail later, when it is printed or compared.
_DEEPEST = 100
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEYS_AND_BRACES = re.compile(rf"({_STRING})\s*(:)?|[{{}}]", re.DOTALL)


def loads(text: str) -> Any:
    """Parse a JSON text. Raises JSONDecodeError.

    Raises JsonFault, a JSONDecodeError, for duplicate keys, for integers that are too long to convert, and
    for nesting that is too deep.
    """
    try:
        value = _decoded(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise _too_deep(text) from None
    except _KeyTwiceError:
        raise _key_twice(text) from None
    except ValueError as error:
        raise _long_integer(text, error) from None
    if len(text) > 2 * _DEEPEST and text.count("[") + text.count("{") > _DEEPEST and _is_deep(value):
        raise _too_deep(text)
    return value


def _decoded(text: str) -> Any:
    if text.startswith(("{", "[")):
        value, end = _DECODER.raw_decode(text)  # decode would search for whitespace with a regex, twice
        rest = text[end:]
        if rest == "\n" or not rest.strip(" \t\r\n"):
            return value
    return _DECODER.decode(text)


def _is_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep(text: str) -> JsonFault:
    remedy = f"Expected at most {_DEEPEST} levels of lists and objects. Correct the file"
    return JsonFault("the value is nested too deeply", text, 0, remedy)


def _key_twice(text: str) -> JsonFault:
    open_objects: list[set[str]] = []
    for token in _KEYS_AND_BRACES.finditer(text):
        if token[0] == "{":
            open_objects.append(set())
        elif token[0] == "}":
            open_objects.pop()
        elif token[2] and open_objects:
            key = json.loads(token[1])
            if key in open_objects[-1]:
                seen = shortened(key, 40)
                remedy = "Each key may occur only once. Remove or rename one of the two"
                return JsonFault(f'the key "{seen}" occurs twice in one object', text, token.start(), remedy)
            open_objects[-1].add(key)
    raise AssertionError("the parser found a duplicate key")


def _long_integer(text: str, error: ValueError) -> JsonFault:
    most = sys.get_int_max_str_digits()
    for token in re.finditer(rf"{_STRING}|\d{{{most + 1},}}", text, re.DOTALL):
        if not token[0].startswith('"'):
            remedy = f"Expected at most {most:,} digits. Correct the integer, or write it as text"
            return JsonFault(f"an integer has {len(token[0]):,} digits", text, token.start(), remedy)
    return JsonFault(f"a value cannot be read ({error})", text, 0, "Correct the file")
