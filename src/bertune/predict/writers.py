"""Predictions as files: JSON lines, CSV, Parquet with every column, and NumPy with the vectors alone."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from bertune.errors import ConfigError, DataError, InputError, listed
from bertune.files import refuse_unusable, replacing, to_json, write_atomically
from bertune.predict.predictor import chunks, plain

SUFFIXES = ("jsonl", "csv", "parquet")  # of files that hold any prediction
VECTORS = "npy"
_CHUNK = 1024  # rows that are Python values at once
_ROOM = 10**12  # rows that the first, preliminary header of an array makes room for

Line = tuple[dict[str, Any], bool]  # a row with its prediction, and whether it has one
Lines = Iterable[Line]


class SomeLabels(dict[str, float]):
    """What is said about some of a model's labels, such as the most probable; they differ from row to row."""


def row_line(
    values: Mapping[str, Any], predicted: Mapping[str, Any], labels: Iterable[str]
) -> dict[str, Any]:
    """A row's own columns, then its prediction.

    A column of the user's with the name of one of ours is kept as NAME_given, never overwritten.
    """
    ours = of_labels(predicted, labels)
    given = {f"{name}_given" if name in ours else name: value for name, value in values.items()}
    return {**given, **ours}


def of_labels(predicted: Mapping[str, Any], labels: Iterable[str]) -> dict[str, Any]:
    """The values of a prediction, with those about some of the labels marked as such."""
    known = set(labels)
    return {
        name: SomeLabels(value) if isinstance(value, dict) and value.keys() < known else value
        for name, value in predicted.items()
    }


def prediction_lines(examples: Iterable[Any], predictions: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The stored form of predictions: where each text is from, the text, its gold and its prediction."""
    for example, prediction in zip(examples, predictions, strict=True):
        yield {
            "id": example.id,
            "source": str(example.origin),
            "text": list(example.texts),
            "gold": example.gold,
            **plain(prediction),
        }


def suffix_of(path: Path) -> str:
    """What the name of a file of predictions ends in, in small letters, without the dot."""
    return path.suffix.lower().removeprefix(".")


def refuse_out(out: Path, known: Iterable[str]) -> None:
    """Raises InputError, before anything is computed, for a file that cannot be written.

    `known` are the suffixes of files that can, which say how the file is written.
    """
    refuse_unusable(out, "the output file")
    if suffix_of(out) not in known:
        raise ConfigError(
            f"{out}: files of predictions end in {listed([f'.{name}' for name in known])}, which says how "
            "it is written"
        )
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: {out.parent} is not a folder. Create it, or give another name")


def is_same_file(path: Path, source: str) -> bool:
    """Whether a path is the file that was opened as `source`."""
    return path.exists() and Path(source).exists() and path.samefile(source)


def write_file(lines: Lines, out: Path, as_csv: bool = False) -> None:
    """Writes predictions in the format that the name of `out` says, whole or not at all.

    Raises ConfigError for predictions without vectors where the format has nothing else.
    """
    suffix = suffix_of(out)
    with replacing(out) as staging:
        if suffix == VECTORS:
            with staging.open("w+b") as array:
                _write_array(lines, array, out)
        elif suffix == "parquet":
            _write_parquet(lines, staging)
        else:
            with staging.open("w", encoding="utf-8", newline="") as file:
                write_text(lines, file, as_csv or suffix == "csv")


def write_further(lines: Iterable[str], out: Path) -> None:
    """Writes the lines of a format of the task's own."""
    write_atomically(out, "".join(f"{line}\n" for line in lines))


def write_text(lines: Lines, file: TextIO, as_csv: bool) -> None:
    """Writes JSON lines, or CSV, whose columns are those of the first row with a prediction."""
    if not as_csv:
        for line, _ in lines:
            file.write(to_json(line, indent=None, default=str) + "\n")
        return
    waiting: list[dict[str, Any]] = []
    writer = None
    for line, is_predicted in lines:
        waiting.append(_flat(line))
        if writer is None and not is_predicted:
            continue  # its columns are known only from a row that has a prediction
        writer = writer or _csv_writer(file, waiting[-1])
        writer.writerows(waiting)
        waiting = []
    if waiting:
        _csv_writer(file, waiting[0]).writerows(waiting)


def _csv_writer(file: TextIO, row: dict[str, Any]) -> "csv.DictWriter[str]":
    writer = csv.DictWriter(file, list(row), extrasaction="ignore")
    writer.writeheader()
    return writer


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as columns of their own, as in probabilities.good. Lists are JSON in one cell, and so is
    what is said about some of the labels: the next row may have others."""
    flat: dict[str, Any] = {}
    for key, value in _encodable(line).items():
        if isinstance(value, dict) and not isinstance(value, SomeLabels):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        elif isinstance(value, dict | list | tuple):
            flat[key] = json.dumps(value, ensure_ascii=False, default=str)
        else:
            flat[key] = value
    return flat


def _encodable(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair, which neither CSV nor Parquet can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return type(value)({_encodable(key): _encodable(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], float)):  # vectors are long
        return [_encodable(inner) for inner in value]
    return value


def _write_array(lines: Lines, file: BinaryIO, out: Path) -> None:
    """[rows, H] in fp32; NaN for a row without text. Streamed: the header is written again at the end."""
    vectors = _vectors(lines, out)
    waiting = 0  # rows without text before the first vector, which says how long they are
    first = None
    for first in vectors:
        if first is not None:
            break
        waiting += 1
    size = 0 if first is None else len(first)
    blank = np.full(size, np.nan, np.float32)
    _write_header(file, _ROOM, size)
    start, count = file.tell(), 0
    for vector in chain([None] * waiting, [] if first is None else [first], vectors):
        file.write((blank if vector is None else np.asarray(vector, np.float32)).tobytes())
        count += 1
    file.seek(0)
    _write_header(file, count, size)
    assert file.tell() == start, "numpy leaves room in a header for the array to grow"


def _write_header(file: BinaryIO, rows: int, size: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, size)}
    np.lib.format.write_array_header_1_0(file, header)


def _vectors(lines: Lines, out: Path) -> Iterator[list[float] | None]:
    for line, is_predicted in lines:
        vector = line.get("vector")
        if is_predicted and not isinstance(vector, list):
            raise ConfigError(
                f"{out}: .npy holds a vector for each text, and this model says {', '.join(line)} of a row. "
                "For one text column name it with data.text; else write .jsonl, .csv or .parquet"
            )
        yield vector


def _write_parquet(lines: Lines, staging: Path) -> None:
    """All columns; vectors as lists of fp32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pieces = [_table(rows) for rows in chunks((_encodable(line) for line, _ in lines), _CHUNK)]
        table = pa.concat_tables(pieces, promote_options="permissive") if pieces else pa.table({})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"a column of the table holds values of several kinds, which Parquet does not take ({error}); "
            "write .jsonl instead"
        ) from error
    pq.write_table(table, staging)


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    some = {name for row in rows for name, value in row.items() if isinstance(value, SomeLabels)}
    table = pa.Table.from_pylist([{k: v for k, v in row.items() if k not in some} for row in rows])
    for name in sorted(some):  # a field for each label there is would be too many
        values = [None if row[name] is None else list(row[name].items()) for row in rows]
        table = table.append_column(name, pa.array(values, pa.map_(pa.string(), pa.float64())))
    if "vector" not in table.column_names:
        return table
    index = table.column_names.index("vector")
    return table.set_column(index, "vector", table.column(index).cast(pa.list_(pa.float32())))
