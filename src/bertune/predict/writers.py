"""Predictions as files: JSON lines, CSV, Parquet with every column, and NumPy with the vectors alone."""

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from bertune.data.tables import Table
from bertune.errors import ConfigError, DataError, InputError, listed
from bertune.files import refuse_unusable, replacing, to_json, write_atomically
from bertune.predict.output_columns import OutputColumns, SomeLabels, Vector
from bertune.predict.predictor import chunks, plain

SUFFIXES = ("jsonl", "csv", "parquet")  # of files that hold any prediction
VECTORS = "npy"
EXAMPLE_COLUMNS = ("id", "source", "text", "gold")  # of a scored example, before its prediction
_CHUNK = 1024  # rows that are Python values at once
_ROOM = 10**12  # rows that the first, preliminary header of an array makes room for


@dataclass(frozen=True)
class Line:
    """A row with its prediction, by the names of the columns in the output."""

    given: Mapping[str, Any]  # what the input has
    added: Mapping[str, Any]  # what the model says
    is_predicted: bool = True
    place: str = ""  # where the row is from, for errors

    @property
    def values(self) -> dict[str, Any]:
        """All columns."""
        return {**self.given, **self.added}


Lines = Iterable[Line]


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


def evaluated_lines(stored: Iterable[Mapping[str, Any]], names: OutputColumns) -> Iterator[Line]:
    """The lines of `prediction_lines` as a file of predictions has them."""
    for line in stored:
        given = {name: line[name] for name in EXAMPLE_COLUMNS}
        yield Line(names.given(given), names.added({n: v for n, v in line.items() if n not in given}))


def suffix_of(path: Path) -> str:
    """What the name of a file of predictions ends in, in small letters, without the dot."""
    return path.suffix.lower().removeprefix(".")


def refuse_out(out: Path, known: Iterable[str]) -> None:
    """Raises InputError, before anything is computed, for a file that cannot be written.

    `known` are the suffixes of files that can, which say how the file is written.
    """
    refuse_unusable(out, "the output file")
    _refuse_device(out)
    if suffix_of(out) not in known:
        raise ConfigError(
            f"{out}: files of predictions end in {listed([f'.{name}' for name in known])}, which says how "
            "it is written"
        )
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: {out.parent} is not a folder. Create it, or give another name")


def _refuse_device(out: Path) -> None:
    """Raises InputError for what is no file: renaming a finished file to its name would remove a device."""
    is_stream = os.path.abspath(out).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    if is_stream or (out.exists() and not out.is_file() and not out.is_dir()):
        raise InputError(
            f"cannot write {out}: it is not a regular file. Leave out --out to write to standard output, "
            "which can be redirected to it"
        )


def refuse_prefix(prefix: str, out: Path) -> None:
    """Raises ConfigError where a prefix for columns is set and the format of `out` has no columns."""
    if prefix:
        raise ConfigError(
            f"predict.prefix={prefix} names columns, and a .{suffix_of(out)} file has none. Drop it, or "
            f"write {listed([f'.{name}' for name in SUFFIXES])}"
        )


def is_same_file(out: object, source: object) -> bool:
    """Whether `out` is the regular file that is read, under whatever name; `source` is its path, or an open
    file."""
    written, read = _status(out), _status(source)
    return (
        written is not None
        and read is not None
        and stat.S_ISREG(written.st_mode)
        and os.path.samestat(written, read)
    )


def _status(file: object) -> os.stat_result | None:
    """The status of a path or an open file; None where there is no such file."""
    try:
        if hasattr(file, "fileno"):
            return os.fstat(file.fileno())
        return os.stat(file) if isinstance(file, str | Path) else None
    except (OSError, ValueError):  # ValueError: a null character, or a closed stream
        return None


def write_file(lines: Lines, out: Path, as_csv: bool = False, columns: Iterable[str] | None = None) -> None:
    """Writes predictions in the format that the name of `out` says, whole or not at all.

    `columns` are as for `write_text`. Raises ConfigError for predictions without vectors where the format has
    nothing else, DataError for rows that it cannot hold.
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
                write_text(lines, file, as_csv or suffix == "csv", columns)


def write_further(lines: Iterable[str], out: Path) -> None:
    """Writes the lines of a format of the task's own."""
    write_atomically(out, "".join(f"{line}\n" for line in lines))


def write_text(lines: Lines, file: TextIO, as_csv: bool, columns: Iterable[str] | None = None) -> None:
    """Writes JSON lines, or CSV.

    `columns` are the input's own columns in CSV, where they are known before the first row (`csv_columns`);
    else they are those of the first rows. Raises DataError for a row that has further ones, and for what the
    encoding of `file` lacks.
    """
    try:
        if as_csv:
            _write_csv(lines, file, columns)
            return
        for line in lines:
            file.write(to_json(line.values, indent=None, default=str) + "\n")
    except UnicodeEncodeError as error:
        raise DataError(
            f"cannot write {error.object[error.start : error.end]!r} to a stream in {error.encoding}. Open "
            'the stream with encoding="utf-8", or pass a file name'
        ) from error


def csv_columns(table: Table, names: OutputColumns) -> list[str]:
    """The columns of a table as CSV, found by reading all of it: rows may differ in their columns, and
    objects in a column in their keys."""
    return flat_names((str(row.origin), names.given(row.values)) for row in table.rows())


def flat_names(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The columns of rows, each with its place, as CSV, where objects have a column for each key."""
    return list({name: None for place, row in rows for name in _flat(row, place)})


def _write_csv(lines: Lines, file: TextIO, columns: Iterable[str] | None) -> None:
    waiting: list[Line] = []
    writer = None
    for line in lines:
        waiting.append(line)
        if writer is None and not line.is_predicted:
            continue  # the columns are known only from a row that has a prediction
        writer = writer or _CsvRows(file, waiting, columns)
        for each in waiting:
            writer.write(each)
        waiting = []
    if waiting:
        writer = _CsvRows(file, waiting, columns)
        for each in waiting:
            writer.write(each)


class _CsvRows:
    """Rows under a header line that is settled by the first of them, the last of which has a prediction."""

    def __init__(self, file: TextIO, first: list[Line], columns: Iterable[str] | None) -> None:
        given = flat_names((line.place, line.given) for line in first) if columns is None else list(columns)
        self._columns = list(dict.fromkeys([*given, *_flat(first[-1].added, "")]))
        self._known = set(self._columns)
        self._writer = csv.writer(file)
        self._writer.writerow(self._columns)

    def write(self, line: Line) -> None:
        row = _flat(line.given, line.place)
        added = _flat(line.added, line.place)
        both = row.keys() & added.keys()
        row |= added if line.is_predicted else {}
        new = [name for name in row if name not in self._known]
        if new or both:
            raise DataError(_no_cell(line.place, new, sorted(both)))
        self._writer.writerow([row.get(name) for name in self._columns])


def _no_cell(place: str, new: list[str], both: list[str]) -> str:
    what = (
        f"the header line, already written, has no column for {listed(new)}, because objects in this column "
        "differ in their keys"
        if new
        else f"two values would be written to the same column, {listed(both)}"
    )
    return f"{place}: {what}. Write JSON lines or .parquet instead of CSV"


def _flat(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Nested objects as columns of their own, as in probabilities.good. Lists are JSON in one cell, and so is
    what is said about some of the labels: the next row may have others. Raises DataError for two values of
    the same name."""
    flat: dict[str, Any] = {}
    for key, value in _encodable(values).items():
        if isinstance(value, dict) and not isinstance(value, SomeLabels):
            cells = {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            cells = {key: value}
        twice = [name for name in cells if name in flat]
        if twice:
            raise DataError(_no_cell(place, [], twice))
        flat |= {name: _cell(cell) for name, cell in cells.items()}
    return flat


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _encodable(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair, which neither CSV nor Parquet can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Vector):
        return value
    if isinstance(value, Mapping):
        kind = SomeLabels if isinstance(value, SomeLabels) else dict
        return kind({_encodable(key): _encodable(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple) and not all(type(inner) is float for inner in value):
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
    for line in lines:
        vector = line.added.get("vector")
        if line.is_predicted and not isinstance(vector, Vector):
            raise ConfigError(
                f"{out}: .npy holds a vector for each text; this model predicts {', '.join(line.added)}. "
                "For one text column name it with data.text; else write .jsonl, .csv or .parquet"
            )
        yield vector


def _write_parquet(lines: Lines, staging: Path) -> None:
    """All columns; vectors as lists of fp32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pieces = [_table(rows) for rows in chunks((_encodable(line.values) for line in lines), _CHUNK)]
        table = pa.concat_tables(pieces, promote_options="permissive") if pieces else pa.table({})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"a column of the table holds values of several kinds, which Parquet does not take ({error}); "
            "write .jsonl instead"
        ) from error
    pq.write_table(table, staging)


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    some = {name for row in rows for name, value in row.items() if isinstance(value, SomeLabels)}
    table = pa.Table.from_pylist([{n: row.get(n) for n in names if n not in some} for row in rows])
    for name in sorted(some):  # a field for each label there is would be too many
        values = [None if row.get(name) is None else list(dict(row[name]).items()) for row in rows]
        table = table.append_column(name, pa.array(values, pa.map_(pa.string(), pa.float64())))
    for name in sorted({name for row in rows for name, value in row.items() if isinstance(value, Vector)}):
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(index).cast(pa.list_(pa.float32())))
    return table
