"""Owns the row: one record of a source together with where it stands, and values inside its objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# A path such as data.text stands for what objects and lists hold; deeper ones can still be written out.
_MOST_PATHS = 1000
_DEEPEST = 6
_MOST_ITEMS = 3  # items of a list whose paths are listed in errors
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row was read; `str()` of it is how every error names the place."""

    file: str  # as the user wrote it; "<memory>" for tables given from Python
    line: int  # first physical line of the row, from 1; the row's number where a format has no lines
    unit: str = "line"  # what is counted: "question" of a nested file, say

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One record. Values are what the format holds: text, numbers, booleans, lists, None."""

    values: Mapping[str, Any]
    origin: Origin
    decimal_commas: frozenset[str] = frozenset()  # columns whose numbers are written as 3,5
    parts: tuple["Row", ...] = ()  # the rows of the source that a task has grouped into this one


class NestedValues(dict[str, Any]):
    """The values of a row in which a dotted path such as `data.text` stands for a value inside an object.

    A key of that exact name wins over the path. A path through a key that the row has gives None where the
    rest of it is absent, like a null cell. Iterating gives the keys of the row itself, without paths.
    """

    def __missing__(self, path: str) -> Any:
        if not isinstance(path, str) or not _begins_with_key(self, path):
            raise KeyError(path)
        found = _inside(self, path)
        return None if found is _NOTHING else found

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (isinstance(path, str) and _begins_with_key(self, path))

    def get(self, path: str, default: Any = None) -> Any:
        """The value of a key or path, `default` where the row has no such key."""
        try:
            return self[path]
        except KeyError:
            return default


def paths_in(values: Mapping[str, Any], known: dict[str, None]) -> None:
    """Adds to `known` the dotted paths of what objects among the values hold, up to a limit."""
    for key, value in values.items():
        if isinstance(value, dict | list):
            _add_paths(value, str(key), known, 1)


def _add_paths(value: Any, path: str, known: dict[str, None], depth: int) -> None:
    if isinstance(value, Mapping):
        inner: Iterable[tuple[Any, Any]] = value.items()
    else:  # an item of a list of plain values is seldom a column
        inner = ((i, item) for i, item in enumerate(value[:_MOST_ITEMS]) if isinstance(item, dict | list))
    for key, item in inner:
        if len(known) >= _MOST_PATHS or depth > _DEEPEST:
            return
        if isinstance(value, Mapping):
            known[f"{path}.{key}"] = None
        if isinstance(item, dict | list):
            _add_paths(item, f"{path}.{key}", known, depth + 1)


def _begins_with_key(values: dict[str, Any], path: str) -> bool:
    parts = path.split(".")
    return any(dict.__contains__(values, ".".join(parts[:end])) for end in range(1, len(parts)))


def _inside(value: Any, path: str) -> Any:
    """What a path leads to from a value; a key may itself have dots in it, and the longest key wins."""
    if isinstance(value, Mapping):
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            key = ".".join(parts[:end])
            inner = dict.get(value, key, _NOTHING) if isinstance(value, dict) else value.get(key, _NOTHING)
            if inner is not _NOTHING:
                return inner if end == len(parts) else _inside(inner, ".".join(parts[end:]))
        return _NOTHING
    head, _, rest = path.partition(".")
    is_position = head.isdecimal() and len(head) < 10
    if not (isinstance(value, list | tuple) and is_position and int(head) < len(value)):
        return _NOTHING
    return _inside(value[int(head)], rest) if rest else value[int(head)]
