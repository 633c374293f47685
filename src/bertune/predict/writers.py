"""Write predictions: JSON Lines, CSV and Parquet with all columns, and NumPy with embeddings only."""

import csv
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from bertune.data.rows import Origin
from bertune.data.tables import Table
from bertune.errors import ConfigError, DataError, InputError, listed
from bertune.files import refuse_unusable, replacing, to_json, write_atomically
from bertune.optional_packages import require
from bertune.predict.output_columns import OutputColumns, SomeLabels, Vector
from bertune.predict.predictor import chunks, plain

SUFFIXES = ("jsonl", "csv", "parquet")  # formats that can hold any prediction
VECTORS = "npy"
EXAMPLE_COLUMNS = ("id", "source", "text", "gold")  # columns of a scored example, before its prediction
_CHUNK = 1024  # rows per Arrow table, which are Python objects at the same time
_ROOM = 10**12  # number of rows in the preliminary array header, which must be longer than the final one


@dataclass(frozen=True)
class Line:
    """A row with its prediction; the keys are the output columns."""

    given: Mapping[str, Any]  # input columns
    added: Mapping[str, Any]  # prediction columns
    is_predicted: bool = True
    place: str = ""  # file and line of the row, for error messages

    @property
    def values(self) -> dict[str, Any]:
        """All columns."""
        return {**self.given, **self.added}


Lines = Iterable[Line]


def prediction_lines(
    examples: Iterable[Any], predictions: Iterable[Any], place: Callable[[Origin], str] = str
) -> Iterator[dict[str, Any]]:
    """The format in which a run stores predictions: id, source, text, gold and prediction."""
    for example, prediction in zip(examples, predictions, strict=True):
        yield {
            "id": example.id,
            "source": place(example.origin),
            "text": list(example.texts),
            "gold": example.gold,
            **plain(prediction),
        }


def evaluated_lines(stored: Iterable[Mapping[str, Any]], names: OutputColumns) -> Iterator[Line]:
    """Convert the result of `prediction_lines` to the lines of an output file."""
    for line in stored:
        given = {name: line[name] for name in EXAMPLE_COLUMNS}
        yield Line(names.given(given), names.added({n: v for n, v in line.items() if n not in given}))


def suffix_of(path: Path) -> str:
    """The suffix of a file in lower case, without the dot."""
    return path.suffix.lower().removeprefix(".")


def refuse_out(out: Path, known: Iterable[str]) -> None:
    """Raise InputError for an output file that cannot be written; called before anything is computed.

    `known` are the supported suffixes, without the dot.
    """
    refuse_unusable(out, "the output file")
    _refuse_device(out)
    if suffix_of(out) not in known:
        raise ConfigError(
            f"{out}: unsupported suffix for a prediction file. Expected one of "
            f"{listed([f'.{name}' for name in known])}, which determines the format"
        )
    if suffix_of(out) == "parquet":
        require("parquet", f"to write {out}", otherwise="Or write .jsonl or .csv")
    if not out.parent.is_dir():
        if out.parent.exists():
            raise InputError(f"cannot write {out}: {out.parent} is not a folder. Use another path")
        raise InputError(f"cannot write {out}: the folder does not exist. Create it, or use another path")


def _refuse_device(out: Path) -> None:
    """Raise InputError for a device, pipe or stream, which the atomic rename would replace with a file."""
    is_stream = os.path.abspath(out).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    if is_stream or (out.exists() and not out.is_file() and not out.is_dir()):
        raise InputError(
            f"cannot write {out}: it is not a regular file. Omit --out to write to standard output, which "
            "can be redirected"
        )


def refuse_prefix(prefix: str, out: Path) -> None:
    """Raise ConfigError if `prefix` is set but the format of `out` has no columns."""
    if prefix:
        raise ConfigError(
            f"predict.prefix={prefix} renames columns, but a .{suffix_of(out)} file has no columns. Remove "
            f"predict.prefix, or write one of {listed([f'.{name}' for name in SUFFIXES])}"
        )


def is_same_file(out: object, source: object) -> bool:
    """Whether `out` and `source` are the same regular file; both can be paths or open files."""
    written, read = _status(out), _status(source)
    return (
        written is not None
        and read is not None
        and stat.S_ISREG(written.st_mode)
        and os.path.samestat(written, read)
    )


def _status(file: object) -> os.stat_result | None:
    """The status of a path or an open file; None if it does not exist."""
    try:
        if hasattr(file, "fileno"):
            return os.fstat(file.fileno())
        return os.stat(file) if isinstance(file, str | Path) else None
    except (OSError, ValueError):  # ValueError: a null character, or a closed stream
        return None


def write_file(lines: Lines, out: Path, as_csv: bool = False, columns: Iterable[str] | None = None) -> None:
    """Write predictions atomically in the format of the suffix of `out`.

    `columns` is the same as in `write_text`. Raises ConfigError for predictions without embeddings if the
    format is .npy, and DataError for rows that the format cannot represent.
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
    """Write the lines of a task-specific format."""
    write_atomically(out, "".join(f"{line}\n" for line in lines))


def write_text(lines: Lines, file: TextIO, as_csv: bool, columns: Iterable[str] | None = None) -> None:
    """Write JSON Lines or CSV.

    `columns` are the input columns of a CSV file, as returned by `csv_columns`; None takes them from the
    first rows. Raises DataError for a row with other columns, and for characters that the encoding of `file`
    does not support.
    """
    try:
        if as_csv:
            _write_csv(lines, file, columns)
            return
        for line in lines:
            file.write(to_json(line.values, indent=None, default=str) + "\n")
    except UnicodeEncodeError as error:
        raise DataError(
            f"cannot write {error.object[error.start : error.end]!r} to a stream with encoding "
            f'{error.encoding}. Open the stream with encoding="utf-8", or pass a file path'
        ) from error


def csv_columns(table: Table, names: OutputColumns) -> list[str]:
    """The CSV columns of a table, with one column per object key.

    This reads the whole table, because rows can differ in their columns and objects in their keys.
    """
    return flat_names((str(row.origin), names.given(row.values)) for row in table.rows())


def flat_names(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The CSV columns of (place, row) pairs, with one column per object key."""
    return list({name: None for place, row in rows for name in _flat(row, place)})


def _write_csv(lines: Lines, file: TextIO, columns: Iterable[str] | None) -> None:
    waiting: list[Line] = []
    writer = None
    for line in lines:
        waiting.append(line)
        if writer is None and not line.is_predicted:
            continue  # the prediction columns are only known from a row with a prediction
        writer = writer or _CsvRows(file, waiting, columns)
        for each in waiting:
            writer.write(each)
        waiting = []
    if waiting:
        writer = _CsvRows(file, waiting, columns)
        for each in waiting:
            writer.write(each)


class _CsvRows:
    """A CSV writer whose header is determined by the `first` lines, the last of which has a prediction."""

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
        f"the CSV header, which is already written, has no column for {listed(new)}, because the objects in "
        "this column have different keys"
        if new
        else f"two values would be written to the same column, {listed(both)}"
    )
    return f"{place}: {what}. Write JSON Lines or .parquet instead of CSV"


def _flat(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Flatten nested objects into one column per key, as in probabilities.good.

    Lists become JSON in one cell, and so do values for some of the labels, which differ from row to row.
    Raises DataError if two values have the same column name.
    """
    flat: dict[str, Any] = {}
    for key, value in _encodable(values).items():
        if isinstance(value, dict) and not isinstance(value, SomeLabels):
            cells = {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            cells = {key: value}
        duplicates = [name for name in cells if name in flat]
        if duplicates:
            raise DataError(_no_cell(place, [], duplicates))
        flat |= {name: _cell(cell) for name, cell in cells.items()}
    return flat


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _encodable(value: Any) -> Any:
    """The value with unpaired surrogates, which CSV and Parquet do not support, replaced by U+FFFD."""
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
    """Write embeddings [rows, H] in fp32, with NaN for rows without text.

    Rows are streamed, and the header is rewritten at the end with the number of rows.
    """
    vectors = _vectors(lines, out)
    waiting = 0  # rows without text before the first vector, when H is not known yet
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
    assert file.tell() == start, "both headers must have the same length"


def _write_header(file: BinaryIO, rows: int, size: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, size)}
    np.lib.format.write_array_header_1_0(file, header)


def _vectors(lines: Lines, out: Path) -> Iterator[list[float] | None]:
    for line in lines:
        vector = line.added.get("vector")
        if line.is_predicted and not isinstance(vector, Vector):
            raise ConfigError(
                f"{out}: a .npy file holds one embedding per text, but this model predicts "
                f"{', '.join(line.added)}. To embed a single text column, set data.text; otherwise write "
                ".jsonl, .csv or .parquet"
            )
        yield vector


def _write_parquet(lines: Lines, staging: Path) -> None:
    """Write all columns, with embeddings as lists of fp32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pieces = [_table(rows) for rows in chunks((_encodable(line.values) for line in lines), _CHUNK)]
        table = pa.concat_tables(pieces, promote_options="permissive") if pieces else pa.table({})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            "a column of the input has values of different types, such as a text in one row and an object in "
            f"another, which Parquet does not support ({error}). Correct these rows, or write .jsonl or .csv"
        ) from error
    pq.write_table(table, staging)


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    some = {name for row in rows for name, value in row.items() if isinstance(value, SomeLabels)}
    table = pa.Table.from_pylist([{n: row.get(n) for n in names if n not in some} for row in rows])
    for name in sorted(some):  # a map, because a struct would have one field per label of the model
        values = [None if row.get(name) is None else list(dict(row[name]).items()) for row in rows]
        table = table.append_column(name, pa.array(values, pa.map_(pa.string(), pa.float64())))
    for name in sorted({name for row in rows for name, value in row.items() if isinstance(value, Vector)}):
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(index).cast(pa.list_(pa.float32())))
    return table
