"""Owns tables made from Python objects: data frames, Arrow tables, data sets, lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from bertune.data.cell_values import is_missing, plain
from bertune.data.readers._classes import class_name
from bertune.data.readers._objects import object_rows
from bertune.data.rows import Origin, Row
from bertune.data.tables import SAMPLE_ROWS, Table, with_columns
from bertune.errors import DataError
from bertune.files import shown

_ACCEPTED = (
    "accepted are a pandas or polars DataFrame, a pyarrow Table, a Hugging Face Dataset,"
    " a list of dicts, or the name of a file"
)
_BATCH_ROWS = 1000
MEMORY = "<memory>"  # what stands in the place of a file's name

Records = Callable[[], Iterable[Mapping[str, Any]]]


def table_of(data: object, name: str = MEMORY) -> Table:
    """The table of a list of texts, of texts and labels in a tuple, or of what `table_from_memory` takes."""
    if isinstance(data, tuple) and len(data) == 2 and _are_texts(data[0]):
        return table_from_lists(data[0], data[1], name)
    if isinstance(data, list | tuple) and _are_texts(data):
        return table_from_lists(data, None, name)
    return table_from_memory(data, name)


def _are_texts(data: object) -> bool:
    """Whether this is a list of texts, or of tuples of texts."""
    if not isinstance(data, list | tuple):
        return False
    first = next((item for item in data if not is_missing(item)), None)
    return isinstance(first, str | list | tuple)


def table_from_memory(data: object, name: str = MEMORY) -> Table:
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
        values = ({key: plain(value) for key, value in record.items()} for record in records())
        return object_rows(enumerate(values, start=1), name, "row")

    found = rows()
    first = next(found, None)
    if first is None:
        raise DataError(f"{name}: the {type(data).__name__} holds no rows; give at least one")
    return with_columns(Table(name, (), True, rows), chain([first], islice(found, SAMPLE_ROWS - 1)), columns)


def table_from_lists(texts: Sequence[Any], labels: Sequence[object] | None, name: str = MEMORY) -> Table:
    """The table of texts and their labels: columns text and label.

    Of tuples of texts the columns are text_a, text_b …; lists of words beside lists of tags are texts.
    Raises DataError.
    """
    if isinstance(texts, str) or len(texts) == 0:
        seen = "one text" if isinstance(texts, str) else "none"
        raise DataError(
            f'{name}: give a list of texts, as in ["great phone", "broke in a week"]; found {seen}'
        )
    if labels is not None and len(labels) != len(texts):
        raise DataError(f"{name}: {len(texts)} texts but {len(labels)} labels; give one label for every text")
    listed_texts = [tuple(map(plain, item)) if isinstance(item, tuple) else plain(item) for item in texts]
    listed_labels = [plain(label) for label in labels] if labels is not None else None
    columns: tuple[str, ...] = ("text",)
    cells: list[tuple[Any, ...]] = [(item,) for item in listed_texts]
    if not _are_words(listed_texts, listed_labels):
        first = next((item for item in listed_texts if item is not None), None)
        columns = _text_columns(len(first) if isinstance(first, list | tuple) else 1)
        cells = [_texts(name, number, item, len(columns)) for number, item in enumerate(listed_texts, 1)]

    def rows() -> Iterator[Row]:
        for number, row_texts in enumerate(cells):
            values = dict(zip(columns, row_texts, strict=True))
            if listed_labels is not None:
                values["label"] = listed_labels[number]
            yield Row(values, Origin(name, number + 1))

    label = None if labels is None else "label"
    return Table(name, (*columns, label) if label else columns, True, rows, text=columns, label=label)


def _text_columns(num_texts: int) -> tuple[str, ...]:
    return ("text",) if num_texts < 2 else tuple(f"text_{chr(ord('a') + i)}" for i in range(num_texts))


def _are_words(texts: Sequence[Any], labels: Sequence[Any] | None) -> bool:
    """Whether texts are lists of words with a tag each; two in every row may as well be pairs of texts."""
    if labels is None or not all(isinstance(item, list) for item in texts):
        return False
    if not all(isinstance(tags, list | tuple) for tags in labels):
        return False
    is_tagged = all(len(words) == len(tags) for words, tags in zip(texts, labels, strict=True))
    return is_tagged or any(len(words) != 2 for words in texts)


def _texts(name: str, number: int, item: object, num_texts: int) -> tuple[Any, ...]:
    if item is None:
        return (None,) * num_texts
    texts = (item,) if isinstance(item, str) else tuple(item) if isinstance(item, list | tuple) else ()
    # A list in the place of a text holds the choices of a question.
    if len(texts) == num_texts and all(isinstance(text, str | list | tuple | None) for text in texts):
        return texts
    wanted = {1: "a text", 2: "a pair of texts"}.get(num_texts, f"{num_texts} texts")
    raise DataError(f"{name}, row {number}: expected {wanted} like the first, found {item!r:.60}")


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
    raise DataError(f"expected a table, got {shown(data)}; {_ACCEPTED}")


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
            record[column] = class_name(plain(record[column]), classes)
        yield record


def _class_names(feature: Any) -> Sequence[str] | None:
    inner = getattr(feature, "feature", feature)  # a list of classes has its class inside
    return inner.names if hasattr(inner, "int2str") and inner.names else None
