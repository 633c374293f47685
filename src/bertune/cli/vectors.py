"""Owns predictions in files for programs: Parquet with every column, and NumPy with the vectors alone."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from bertune.errors import ConfigError, DataError

SUFFIXES = (".npy", ".parquet")
_CHUNK = 1024  # rows that are Python values at once
_ROOM = 10**12  # rows that the first, preliminary header of an array makes room for


class SomeLabels(dict[str, float]):
    """What is said about some of a model's labels, such as the most probable; they differ from row to row."""


Lines = Iterable[tuple[dict[str, Any], bool]]  # a row with what is said about it, and whether anything is


def encodable(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair, which neither CSV nor Parquet can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return type(value)({encodable(key): encodable(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], float)):  # vectors are long
        return [encodable(inner) for inner in value]
    return value


def write(lines: Lines, staging: Path, out: Path) -> None:
    """Writes predictions to `staging` in the format that `out` names. Raises ConfigError for those without
    vectors where the format has nothing else."""
    if out.suffix.lower() == ".npy":
        with staging.open("w+b") as file:
            _write_array(lines, file, out)
    else:
        _write_parquet(lines, staging)


def _write_array(lines: Lines, file: BinaryIO, out: Path) -> None:
    """[rows, H] in fp32; NaN for a row without text. Streamed: the header is written again at the end."""
    import numpy as np

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
    import numpy as np

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

    from bertune.infer import chunks

    try:
        pieces = [_table(rows) for rows in chunks((encodable(line) for line, _ in lines), _CHUNK)]
        table = pa.concat_tables(pieces, promote_options="permissive") if pieces else pa.table({})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"a column of the table holds values of several kinds, which Parquet does not take ({error}); "
            "write .jsonl instead"
        ) from error
    pq.write_table(table, staging)


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    of_labels = {name for row in rows for name, value in row.items() if isinstance(value, SomeLabels)}
    table = pa.Table.from_pylist([{k: v for k, v in row.items() if k not in of_labels} for row in rows])
    for name in sorted(of_labels):  # a field for each label there is would be too many
        values = [None if row[name] is None else list(row[name].items()) for row in rows]
        table = table.append_column(name, pa.array(values, pa.map_(pa.string(), pa.float64())))
    if "vector" not in table.column_names:
        return table
    place = table.column_names.index("vector")
    return table.set_column(place, "vector", table.column(place).cast(pa.list_(pa.float32())))
