"""The columns of prediction files: all columns of the input, and the columns of the prediction."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any


class SomeLabels(dict[str, float]):
    """Values for some of a model's labels, such as the most probable ones, which differ from row to row."""


class Vector(list[float]):
    """The embedding of a text, which Parquet stores in fp32."""


class OutputColumns:
    """Assigns a unique name to every output column, so that no input column is lost.

    A prediction adds a column `prefix` + FIELD for each of its fields. An input column with that name, or
    with that name followed by a dot (as in the flattened objects of a CSV file), is renamed to NAME_given, or
    to the first free name of NAME_given_2, NAME_given_3 and so on, so that predicting a prediction file again
    is deterministic.
    """

    def __init__(
        self, fields: Iterable[str], columns: Iterable[str], labels: Iterable[str] = (), prefix: str = ""
    ) -> None:
        self._added = {field: prefix + field for field in fields}
        self._labels = set(labels)
        self._given: dict[str, str] = {}  # input name -> output name
        self._name(columns)

    @property
    def renamed(self) -> dict[str, str]:
        """The renamed input columns, with their names in the output."""
        return {name: given for name, given in self._given.items() if name != given}

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The input values of a row, by output column."""
        new = [name for name in values if name not in self._given]
        if new:  # a custom reader may yield rows with columns that the first row does not have
            self._name(new)
        return {self._given[name]: _unless_map(value) for name, value in values.items()}

    def added(self, predicted: Mapping[str, Any] | None) -> dict[str, Any]:
        """The values of a prediction, by output column; all None for a row without a prediction."""
        if predicted is None:
            return dict.fromkeys(self._added.values())
        return {self._added[name]: value for name, value in marked(predicted, self._labels).items()}

    def _name(self, columns: Iterable[str]) -> None:
        clashing: dict[str, list[str]] = {}  # output column -> the input columns that clash with it
        for name in columns:
            head = self._clash(name)
            if head is not None:
                clashing.setdefault(head, []).append(name)
            elif name not in self._given.values():
                self._given[name] = name
            else:
                clashing.setdefault(name, []).append(name)
        for head, names in clashing.items():
            new_head = self._free(head, [name[len(head) :] for name in names])
            self._given |= {name: new_head + name[len(head) :] for name in names}

    def _clash(self, name: str) -> str | None:
        """The output column that an input column would overwrite, or None."""
        return next((a for a in self._added.values() if name == a or name.startswith(f"{a}.")), None)

    def _free(self, head: str, tails: list[str]) -> str:
        """The first free name for `head`; `tails` are the parts of the column names that follow it."""
        used = {*self._added.values(), *self._given.values()}
        for number in count(1):
            name = f"{head}_given" if number == 1 else f"{head}_given_{number}"
            is_nested = any(other.startswith(f"{name}.") for other in used)
            if not is_nested and name not in used and not any(name + tail in used for tail in tails):
                return name
        raise AssertionError("the number of candidate names is unlimited")


def _unless_map(value: Any) -> Any:
    """The value itself; the pairs of a Parquet map, as read back from a prediction file, as `SomeLabels`."""
    if not (isinstance(value, list) and value and all(isinstance(item, tuple) for item in value)):
        return value
    some = SomeLabels(item for item in value if len(item) == 2 and isinstance(item[0], str))
    is_whole = len(some) == len(value) and all(isinstance(number, float) for number in some.values())
    return some if is_whole else value


def marked(predicted: Mapping[str, Any], labels: set[str]) -> dict[str, Any]:
    """The values of a prediction, with embeddings as `Vector` and values for some labels as `SomeLabels`."""
    return {name: _marked(name, value, labels) for name, value in predicted.items()}


def _marked(name: str, value: Any, labels: set[str]) -> Any:
    if name == "vector" and isinstance(value, list):
        return Vector(value)
    if isinstance(value, dict) and value.keys() < labels:
        return SomeLabels(value)
    return value
