"""Tables from Python objects: data frames, Arrow tables, data sets and lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from bertune.data.cell_values import is_missing, plain
from bertune.data.readers._classes import class_name
from bertune.data.readers._objects import object_rows
from bertune.data.rows import Origin, Row
from bertune.data.tables import SAMPLE_ROWS, Table, with_columns
from bertune.errors import DataError, counted
from bertune.files import shown

_ACCEPTED = (
    "Pass a pandas or polars DataFrame, a pyarrow Table, a Hugging Face Dataset,"
    " a list of dicts, a dict of lists, or a file name"
)
_BATCH_ROWS = 1000
MEMORY = "<memory>"  # used in place of a file name

Records = Callable[[], Iterable[Mapping[str, Any]]]


def table_of(data: object, name: str = MEMORY) -> Table:
    """The table of a list of texts, of a tuple (texts, labels), or of an object for `table_from_memory`.

    Columns of a data frame or data set and arrays count as lists. Raises DataError.
    """
    data = tuple(map(_as_list, data)) if isinstance(data, tuple) and len(data) == 2 else _as_list(data)
    if isinstance(data, tuple) and len(data) == 2 and _are_texts(data[0]):
        return table_from_lists(data[0], data[1], name)
    if isinstance(data, list | tuple) and _are_texts(data):
        return table_from_lists(data, None, name)
    return table_from_memory(data, name)


def _as_list(data: Any) -> Any:
    """The list in a column or an array; any other object unchanged."""
    if isinstance(data, str | list | tuple | Mapping):
        return data
    for method in ("tolist", "to_list", "to_pylist"):  # pandas and NumPy, polars, Arrow
        if hasattr(data, method) and not hasattr(data, "column_names"):
            return getattr(data, method)()
    return list(data) if isinstance(data, Sequence) else data


def _are_texts(data: object) -> bool:
    """Whether an object is a list of texts, or of tuples or lists of texts."""
    if not isinstance(data, list | tuple):
        return False
    first = next((item for item in data if not is_missing(item)), None)
    return isinstance(first, str | list | tuple)


def table_from_memory(data: object, name: str = MEMORY) -> Table:
    """The table of a data frame, Arrow table, data set or list of dicts.

    Missing values become None, and the class numbers of a data set become names. Types are recognized by
    their methods, so that none of the libraries is imported. Raises DataError for anything else.
    """
    columns, records = _opened(data)
    for number, column in enumerate(columns):
        if column in columns[:number]:
            raise DataError(
                f'{name}: columns {columns.index(column)} and {number} are both named "{column}". Rename one'
                " of them"
            )

    def rows() -> Iterator[Row]:
        values = ({key: plain(value) for key, value in record.items()} for record in records())
        return object_rows(enumerate(values, start=1), name, "row")

    found = rows()
    first = next(found, None)
    if first is None:
        raise DataError(f"{name}: the {type(data).__name__} has no rows. Pass at least one row")
    return with_columns(Table(name, (), True, rows), chain([first], islice(found, SAMPLE_ROWS - 1)), columns)


def table_from_lists(texts: Sequence[Any], labels: Sequence[object] | None, name: str = MEMORY) -> Table:
    """The table of texts and their labels, with the columns text and label.

    For tuples of texts, the text columns are text_a, text_b …. A list of words with a list of tags counts as
    one text. Raises DataError.
    """
    if isinstance(texts, str) or len(texts) == 0:
        seen = "a single text" if isinstance(texts, str) else "an empty list"
        raise DataError(
            f'{name}: expected a list of texts, as in ["great phone", "broke in a week"], got {seen}'
        )
    if labels is not None and len(labels) != len(texts):
        raise DataError(
            f"{name}: {counted(len(texts), 'text')} but {counted(len(labels), 'label')}. Pass one label for "
            "each text"
        )
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
    """Whether the texts are lists of words, with one tag per word.

    Lists of two without matching tags are pairs of texts.
    """
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
    # A list in place of a text holds the choices of a question.
    if len(texts) == num_texts and all(isinstance(text, str | list | tuple | None) for text in texts):
        return texts
    expected = {1: "a text", 2: "a pair of texts"}.get(num_texts, f"{num_texts} texts")
    raise DataError(f"{name}, row {number}: expected {expected} as in the first row, got {item!r:.60}")


def _opened(data: object) -> tuple[list[str], Records]:
    """The column names of an object, and a function that iterates over its rows. Raises DataError."""
    source: Any = data
    if isinstance(data, list | tuple):
        return _opened_list(data)
    names = getattr(data, "column_names", None)
    if isinstance(data, Mapping) and names is None:
        return _opened_columns(data)
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
        raise DataError(f"a {type(data).__name__} contains several tables. Pass one of them: {splits}")
    if isinstance(getattr(data, "features", None), Mapping) and isinstance(names, list):
        # A format such as "pandas" changes what iteration yields.
        source = source.with_format(None) if hasattr(source, "with_format") else source
        return names, lambda: _named_classes(source)
    raise DataError(f"expected a table, got {shown(data)}. {_ACCEPTED}")


def _opened_list(data: Sequence[Any]) -> tuple[list[str], Records]:
    if not data:
        raise DataError(f"the list is empty. {_ACCEPTED}")
    for number, item in enumerate(data, start=1):
        if not isinstance(item, Mapping):
            raise DataError(
                f"item {number} of the list: expected a dict, got a {type(item).__name__}. {_ACCEPTED}"
            )
    return [str(key) for key in data[0]], lambda: ({str(k): v for k, v in item.items()} for item in data)


def _opened_columns(data: Mapping[Any, Any]) -> tuple[list[str], Records]:
    columns = [_as_list(values) for values in data.values()]
    sizes = [len(values) if isinstance(values, list | tuple) else -1 for values in columns]
    if not sizes or -1 in sizes:
        raise DataError(f"expected a table, got {shown(data)}. {_ACCEPTED}")
    if len(set(sizes)) > 1:
        seen = ", ".join(f'"{name}" has {size:,}' for name, size in zip(data, sizes, strict=True))
        raise DataError(f"the columns of the dict differ in length: {seen}. Pass lists of the same length")
    return [str(name) for name in data], lambda: _zipped(
        [str(name) for name in data], zip(*columns, strict=True)
    )


def _zipped(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in rows:
        yield dict(zip(columns, values, strict=True))


def _arrow_records(table: Any) -> Iterator[Mapping[str, Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from batch.to_pylist()


def _named_classes(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a Hugging Face data set, with class names in place of class numbers."""
    names = {column: _class_names(feature) for column, feature in dataset.features.items()}
    named = {column: classes for column, classes in names.items() if classes is not None}
    for example in dataset:
        record = dict(example)
        for column, classes in named.items():
            record[column] = class_name(plain(record[column]), classes)
        yield record


def _class_names(feature: Any) -> Sequence[str] | None:
    inner = getattr(feature, "feature", feature)  # for a list, the feature of its items
    return inner.names if hasattr(inner, "int2str") and inner.names else None
