"""Owns tables made from Python objects: data frames, Arrow tables, data sets, lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bertune.data.readers._objects import object_rows
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table
from bertune.errors import DataError

_ACCEPTED = (
    "accepted are a pandas or polars DataFrame, a pyarrow Table, a Hugging Face Dataset,"
    " a list of dicts, or the name of a file"
)
_BATCH_ROWS = 1000

Records = Callable[[], Iterable[Mapping[str, Any]]]


def table_from_memory(data: object, name: str = "<memory>") -> Table:
    """The table that a Python object is; missing values become None, a data set's class numbers names.

    Known by what it can do, so none of these libraries is imported. Raises DataError for anything else.
    """
    columns, records = _opened(data)
    for number, column in enumerate(columns):
        if column in columns[:number]:
            raise DataError(
                f'{name}: columns {columns.index(column)} and {number} are both named "{column}"; rename one'
            )

    def rows() -> Iterator[Row]:
        plain = ({key: _plain(value) for key, value in record.items()} for record in records())
        return object_rows(enumerate(plain, start=1), name, "row")

    if next(iter(rows()), None) is None:
        raise DataError(f"{name}: the {type(data).__name__} holds no rows; give at least one")
    return Table(name, tuple(columns), True, rows)


def table_from_lists(
    texts: Sequence[str] | Sequence[tuple[str, str]], labels: Sequence[object] | None
) -> Table:
    """The table of texts, or of pairs, and their labels: columns text (or text_a, text_b) and label."""
    name = "<memory>"
    if isinstance(texts, str) or len(texts) == 0:
        seen = "one text" if isinstance(texts, str) else "none"
        raise DataError(
            f'{name}: give a list of texts, as in ["great phone", "broke in a week"]; found {seen}'
        )
    if labels is not None and len(labels) != len(texts):
        raise DataError(f"{name}: {len(texts)} texts but {len(labels)} labels; give one label for every text")
    is_pairs = not isinstance(next(iter(texts)), str)
    columns = ("text_a", "text_b") if is_pairs else ("text",)
    listed_texts = [_texts(number, item, len(columns)) for number, item in enumerate(texts, start=1)]
    listed_labels = [_plain(label) for label in labels] if labels is not None else None

    def rows() -> Iterator[Row]:
        for number, row_texts in enumerate(listed_texts):
            values = dict(zip(columns, row_texts, strict=True))
            if listed_labels is not None:
                values["label"] = listed_labels[number]
            yield Row(values, Origin(name, number + 1))

    return Table(name, columns if labels is None else (*columns, "label"), True, rows)


def _texts(number: int, item: object, num_texts: int) -> tuple[Any, ...]:
    texts = (item,) if isinstance(item, str) else tuple(item) if isinstance(item, list | tuple) else ()
    if len(texts) == num_texts and all(isinstance(text, str) for text in texts):
        return texts
    wanted = "a text" if num_texts == 1 else "a pair of texts"
    raise DataError(f"<memory>, row {number}: expected {wanted} like the first, found {item!r:.60}")


def _opened(data: object) -> tuple[list[str], Records]:
    """The column names of an object and a function that goes through its rows."""
    source: Any = data
    if isinstance(data, list | tuple):
        return _opened_list(data)
    names = getattr(data, "column_names", None)
    if hasattr(data, "itertuples") and hasattr(data, "columns"):
        columns = [str(column) for column in source.columns]
        return columns, lambda: _zipped(columns, source.itertuples(index=False, name=None))
    if hasattr(data, "iter_rows") and hasattr(data, "columns"):
        columns = list(source.columns)
        return columns, lambda: _zipped(columns, source.iter_rows())
    if hasattr(data, "to_batches") and names is not None:
        return list(names), lambda: _arrow_records(source)
    if isinstance(names, Mapping):
        splits = ", ".join(f'"{split}"' for split in names)
        raise DataError(f"a {type(data).__name__} holds several tables; give one of them: {splits}")
    if isinstance(getattr(data, "features", None), Mapping) and isinstance(names, list):
        return names, lambda: _named_classes(source)
    raise DataError(f"a {type(data).__name__} cannot be read as a table; {_ACCEPTED}")


def _opened_list(data: Sequence[Any]) -> tuple[list[str], Records]:
    if not data:
        raise DataError(f"the list is empty; {_ACCEPTED}")
    for number, item in enumerate(data, start=1):
        if not isinstance(item, Mapping):
            raise DataError(f"a list with a {type(item).__name__} as item {number} is no table; {_ACCEPTED}")
    return [str(key) for key in data[0]], lambda: ({str(k): v for k, v in item.items()} for item in data)


def _zipped(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in rows:
        yield dict(zip(columns, values, strict=True))


def _arrow_records(table: Any) -> Iterator[Mapping[str, Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from batch.to_pylist()


def _named_classes(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a Hugging Face data set, with the names of classes for their numbers."""
    names = {column: _class_names(feature) for column, feature in dataset.features.items()}
    named = {column: classes for column, classes in names.items() if classes is not None}
    for example in dataset:
        record = dict(example)
        for column, classes in named.items():
            record[column] = _class_name(_plain(record[column]), classes)
        yield record


def _class_names(feature: Any) -> Sequence[str] | None:
    inner = getattr(feature, "feature", feature)  # a list of classes has its class inside
    return inner.names if hasattr(inner, "int2str") and inner.names else None


def _class_name(value: Any, classes: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_class_name(item, classes) for item in value]
    if value is None or value == -1:  # -1 is the convention for the hidden labels of test sets
        return None
    return classes[value]


def _plain(value: Any) -> Any:
    """A value as plain Python: numpy and torch scalars and arrays unwrapped, NaN, NaT and NA as None."""
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    return None if isinstance(value, float) and value != value else value
