"""Reads data sets saved by `Dataset.save_to_disk` of Hugging Face: a folder of Arrow files with features.

Uses pyarrow; the package `datasets` is not required.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.folders import INFO, STATE, no_table_in
from bertune.data.readers._arrow import BATCH_ROWS, batch_rows, classes_of, refuse_duplicate_columns
from bertune.data.readers._classes import classes_in
from bertune.data.rows import Row
from bertune.errors import DataError
from bertune.optional_packages import needs

SUFFIXES: tuple[str, ...] = ()  # reads folders only


def recognises_folder(path: Path) -> bool:
    """Whether save_to_disk wrote a folder for a single data set."""
    return (path / STATE).is_file() and (path / INFO).is_file()


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of the Arrow files, in the order of state.json. Class numbers become names.

    The line of a row is its number in its file, from 1. Raises DataError for another kind of folder and for
    corrupt files.
    """
    with needs("pyarrow", f"to read {path}", "Or save the data set as CSV or JSON Lines"):
        import pyarrow

    if not recognises_folder(path):
        raise DataError(
            no_table_in(path)
            if path.is_dir()
            else f"{path} is not a folder. Expected a folder written by save_to_disk"
        )
    state, features = _content(path / STATE), _content(path / INFO).get("features")
    if state.get("_indices_data_files"):
        # Versions before 2.0 could save a selection of rows together with all rows.
        raise DataError(
            f"{path / STATE}: the data set was saved with a separate file of row indices. Expected the rows"
            " themselves. Call flatten_indices() and save_to_disk again"
        )
    for file in _files(path, state):
        number = 0
        try:
            with pyarrow.OSFile(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
                refuse_duplicate_columns(file, stream.schema.names)
                classes = classes_in(features) or classes_of(stream.schema)
                for whole in stream:
                    for start in range(0, whole.num_rows, BATCH_ROWS):
                        batch = whole.slice(start, BATCH_ROWS)
                        yield from batch_rows(file, batch, number, classes)
                        number += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).split("\n")[0].rstrip(". ")
            where = f", row {number + 1}" if number else ""
            raise DataError(
                f"{file}{where}: not an Arrow stream file, or corrupt ({reason}). Save or copy the data set"
                " again"
            ) from error


def _content(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file, or corrupt. Save or copy the data set again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected an object. Save or copy the data set again")
    return found


def _files(path: Path, state: dict[str, Any]) -> list[Path]:
    """The Arrow files listed in state.json, in order. Raises DataError for files outside the folder."""
    listed_files = state.get("_data_files")
    names = [
        item.get("filename") if isinstance(item, dict) else None
        for item in (listed_files if isinstance(listed_files, list) else [])
    ]
    # save_to_disk never writes a name outside the folder.
    if not names or not all(isinstance(n, str) and n and Path(n).name == n for n in names):
        raise DataError(
            f'{path / STATE}: expected the names of Arrow files in this folder in "_data_files". Save the'
            " data set again"
        )
    found = [path / str(name) for name in names]
    missing = next((file for file in found if not file.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing} is missing, but {STATE} lists it. Copy the whole folder again")
    return found
