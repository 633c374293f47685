"""Rows of JSON objects that hold a table by column or by index, as pandas and `datasets` write them."""

from typing import Any

_SPLIT = {"columns", "data"}  # and "index", unless pandas wrote the table with index=False


def records_in(content: dict[str, Any]) -> list[object] | None:
    """The rows of a table in an object; None if the object is not a table.

    The object has a list of values for each column, or is written by pandas' `to_json` with the orient
    columns, index or split.
    """
    values = list(content.values())
    if content.keys() - {"index"} == _SPLIT and all(isinstance(value, list) for value in values):
        names = content["columns"]
        is_table = all(isinstance(row, list) and len(row) == len(names) for row in content["data"])
        return [dict(zip(names, row, strict=True)) for row in content["data"]] if is_table else None
    has_objects = any(isinstance(item, dict) for value in values if isinstance(value, list) for item in value)
    if len(values) > 1 and all(isinstance(value, list) for value in values) and not has_objects:
        sizes = {len(value) for value in values}
        return _rows(content, values) if len(sizes) == 1 and sizes != {0} else None
    if values and all(isinstance(value, dict) and value for value in values):
        if all(value.keys() == values[0].keys() for value in values) and all(map(str.isdecimal, values[0])):
            return _rows(content, [list(value.values()) for value in values])
        if all(map(str.isdecimal, content)):
            return values
    return None


def _rows(content: dict[str, Any], columns: list[list[Any]]) -> list[object]:
    return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
