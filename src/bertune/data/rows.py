"""The row: one record of a source with its origin, and access to nested values by dotted path."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

# Limits on the dotted paths, such as data.text, that are listed for a table. Other paths can still be used.
_MOST_PATHS = 1000
_DEEPEST = 6
_MOST_ITEMS = 3  # items of each list whose paths are listed
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """The file and line of a row. Error messages use its `str()`."""

    file: str  # as the user wrote it; "<memory>" for Python objects
    line: int  # first physical line of the row, from 1; its number if the format has no lines
    unit: str = "line"  # what `line` counts, for example "question" in a nested file

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}"

    def anywhere(self) -> str:
        """`str()` with an absolute path, for files that must not depend on the folder."""
        path = self.file if self.file.startswith("<") else os.path.abspath(self.file)
        return str(replace(self, file=path))


@dataclass(frozen=True, slots=True)
class Row:
    """One record. Values have the types of the format: text, numbers, booleans, lists, objects, None."""

    values: Mapping[str, Any]
    origin: Origin
    decimal_commas: frozenset[str] = frozenset()  # columns whose numbers are written as 3,5 or 1.000,5
    parts: tuple["Row", ...] = ()  # the rows of the source that a task has grouped into this one
    decimal_points: frozenset[str] = frozenset()  # columns whose numbers are written as 3.5 or 1,000.5


class NestedValues(dict[str, Any]):
    """The values of a row, with access to values inside objects by dotted paths such as `data.text`.

    An exact key takes precedence over a path. If only the first key of a path exists, the value is None, like
    that of a null cell. Iteration yields the keys of the row, not paths.
    """

    def __missing__(self, path: str) -> Any:
        if not isinstance(path, str) or not _begins_with_key(self, path):
            raise KeyError(path)
        found = _inside(self, path)
        return None if found is _NOTHING else found

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (isinstance(path, str) and _begins_with_key(self, path))

    def get(self, path: str, default: Any = None) -> Any:
        """The value of a key or path; `default` if the row does not have its first key."""
        try:
            return self[path]
        except KeyError:
            return default


def paths_in(values: Mapping[str, Any], known: dict[str, None]) -> None:
    """Add to `known` the dotted paths of nested values, up to a limit."""
    for key, value in values.items():
        if isinstance(value, dict | list):
            _add_paths(value, str(key), known, 1)


def _add_paths(value: Any, path: str, known: dict[str, None], depth: int) -> None:
    if isinstance(value, Mapping):
        inner: Iterable[tuple[Any, Any]] = value.items()
    else:  # an item of a list of plain values is rarely used as a column
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
    """The value at a path inside `value`. Keys may contain dots; the longest matching key wins."""
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
