"""The columns of written predictions: those of the input, all of them, and those that a prediction adds."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any


class SomeLabels(dict[str, float]):
    """What is said about some of a model's labels, such as the most probable; they differ from row to row."""


class Vector(list[float]):
    """A vector of a text, which Parquet stores in fp32."""


class OutputColumns:
    """Gives every column of the output a name of its own, so that nothing of the input is lost.

    A prediction adds `prefix` + FIELD for each of its fields. An input column with that name, or with that
    name and a dot (as CSV writes the parts of an object), is kept as NAME_given, or else NAME_given_2,
    NAME_given_3 …, the first that is free: predicting a predicted file again and again is deterministic.
    """

    def __init__(
        self, fields: Iterable[str], columns: Iterable[str], labels: Iterable[str] = (), prefix: str = ""
    ) -> None:
        self._added = {field: prefix + field for field in fields}
        self._labels = set(labels)
        self._given: dict[str, str] = {}  # by name in the input
        self._name(columns)

    @property
    def renamed(self) -> dict[str, str]:
        """The input columns that have another name in the output, and that name."""
        return {name: given for name, given in self._given.items() if name != given}

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The input's own values of a row, by their names in the output."""
        new = [name for name in values if name not in self._given]
        if new:  # a reader of the user's own may yield rows with columns that the first row lacks
            self._name(new)
        return {self._given[name]: _unless_map(value) for name, value in values.items()}

    def added(self, predicted: Mapping[str, Any] | None) -> dict[str, Any]:
        """The values of a prediction by their names in the output; all None for a row without prediction."""
        if predicted is None:
            return dict.fromkeys(self._added.values())
        return {self._added[name]: value for name, value in marked(predicted, self._labels).items()}

    def _name(self, columns: Iterable[str]) -> None:
        clashing: dict[str, list[str]] = {}  # input columns by the output column that they clash with
        for name in columns:
            head = self._clash(name)
            if head is not None:
                clashing.setdefault(head, []).append(name)
            elif name not in self._given.values():
                self._given[name] = name
            else:
                clashing.setdefault(name, []).append(name)
        for head, names in clashing.items():
            instead = self._free(head, [name[len(head) :] for name in names])
            self._given |= {name: instead + name[len(head) :] for name in names}

    def _clash(self, name: str) -> str | None:
        """The output column in whose place an input column would be."""
        return next((a for a in self._added.values() if name == a or name.startswith(f"{a}.")), None)

    def _free(self, head: str, rests: list[str]) -> str:
        """The first free name for `head`; `rests` are what follows it in the names of the columns."""
        taken = {*self._added.values(), *self._given.values()}
        for number in count(1):
            name = f"{head}_given" if number == 1 else f"{head}_given_{number}"
            is_nested = any(other.startswith(f"{name}.") for other in taken)
            if not is_nested and name not in taken and not any(name + rest in taken for rest in rests):
                return name
        raise AssertionError("there are infinitely many names")


def _unless_map(value: Any) -> Any:
    """The value itself; what was said about some labels, read back from a Parquet map as pairs, as before."""
    if not (isinstance(value, list) and value and all(isinstance(item, tuple) for item in value)):
        return value
    some = SomeLabels(item for item in value if len(item) == 2 and isinstance(item[0], str))
    is_whole = len(some) == len(value) and all(isinstance(number, float) for number in some.values())
    return some if is_whole else value


def marked(predicted: Mapping[str, Any], labels: set[str]) -> dict[str, Any]:
    """The values of a prediction; vectors, and what is said about some of the labels, marked as such."""
    return {name: _marked(name, value, labels) for name, value in predicted.items()}


def _marked(name: str, value: Any, labels: set[str]) -> Any:
    if name == "vector" and isinstance(value, list):
        return Vector(value)
    if isinstance(value, dict) and value.keys() < labels:
        return SomeLabels(value)
    return value
