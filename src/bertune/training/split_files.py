"""Writes the splits of a source as files that train reads to the identical splits."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bertune.config import Config
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.errors import BertuneError, DataError, InputError
from bertune.files import disk_errors, refuse_unusable, remove, replacing, shown_path, temporary_name, to_json
from bertune.optional_packages import needs
from bertune.source import Source, resolve_source
from bertune.training.preparing import fingerprint
from bertune.training.reading import Tables, open_split, read
from bertune.training.splitting import Splits, split

SETTINGS = "settings.toml"
# Settings of [data] that describe the original files or their division; the new files need others.
_OF_ORIGINAL = (
    "header", "delimiter", "quoting", "encoding", "reader", "sheet", "validation_fraction", "test_fraction",
    "time", "split_column", "deduplicate", "near_duplicates",
)  # fmt: skip


def write_splits(source: Source, splits: Splits, out: Path) -> list[Path]:
    """Write a file for each split and settings.toml to a new folder, and return their paths.

    The files have all columns of the original rows: CSV if every cell is text, otherwise JSON Lines. The
    settings name the files and columns, and keep the settings of task, model and training. The files are
    read again and compared with the splits before the folder appears under its name. Raises InputError.
    """
    refuse_unusable(out, "--out")
    if os.path.lexists(out):
        raise InputError(f"{shown_path(out)} already exists. Nothing in it was changed. Use another --out")
    staging = out.with_name(temporary_name(out.name))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove(staging)
        staging.mkdir()
        try:
            files = _write_files(source, splits, staging)
            _write_settings(splits, files, staging / SETTINGS)
            _verify(staging, source, splits)
            staging.rename(out)
        finally:
            remove(staging)
    return [out / name for name in (*files.values(), SETTINGS)]


def _write_files(source: Source, splits: Splits, folder: Path) -> dict[str, str]:
    """Write the rows of each split and return the file names by split."""
    tables = splits.tables
    rows: dict[str, list[Row]] = {}
    for table in dict.fromkeys(table for table, _ in splits.rows.values()):
        opened = open_split(source, table, tables.task)[0]
        rows[table] = _rows_of(opened, tables, table)
    of_split = {
        name: [part for i in chosen for part in rows[table][i].parts or (rows[table][i],)]
        for name, (table, chosen) in splits.rows.items()
    }
    every = [row.values for found in of_split.values() for row in found]
    columns = list(dict.fromkeys(column for values in every for column in values))
    is_text = all(isinstance(value, str | None) for values in every for value in values.values())
    files = {}
    for name, found in of_split.items():
        files[name] = f"{name}.{'csv' if is_text else 'jsonl'}"
        with replacing(folder / files[name]) as staging:
            if is_text:
                _write_csv(staging, columns, found)
            else:
                _write_json_lines(staging, found)
    return files


def _rows_of(opened: Table, tables: Tables, table: str) -> list[Row]:
    """The rows of the examples of a table."""
    kept = tables.kept if table == "train" else None
    numbers = range(len(tables.examples[table])) if kept is None else kept
    rows = list(islice(opened.rows(), numbers[-1] + 1))
    return [rows[number] for number in numbers]


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        writer.writerows([row.values.get(column) or "" for column in columns] for row in rows)


def _write_json_lines(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(to_json(dict(row.values), indent=None, default=str) + "\n")


def _write_settings(splits: Splits, files: Mapping[str, str], path: Path) -> None:
    """Write the settings with which train reads the files to the same splits."""
    tables = splits.tables
    config, columns = tables.config, tables.columns
    data = config.data.model_dump(
        mode="json", exclude_none=True, exclude_defaults=True, exclude={*_OF_ORIGINAL, "text", "label", "id"}
    )
    data |= {**files, "text": list(columns.text), "label": columns.label, "id": columns.id}
    if next(iter(files.values())).endswith(".csv"):
        data |= {"header": True, "delimiter": ",", "quoting": True}
    with needs("tomlkit", "to write settings"):
        import tomlkit
    document = {"data": {key: value for key, value in data.items() if value is not None}}
    path.write_text(tomlkit.dumps({**document, **_other_sections(config)}), encoding="utf-8")


def _other_sections(config: Config) -> dict[str, dict[str, Any]]:
    """The settings outside [data] that differ from the defaults."""
    stored = config.model_dump(
        mode="json", exclude_none=True, exclude_defaults=True, exclude={"data", "predict", "export", "serve"}
    )
    stored.get("train", {}).pop("max_examples", None)  # the files have only these rows
    return {section: values for section, values in stored.items() if values}


def _verify(folder: Path, source: Source, splits: Splits) -> None:
    """Read the written files and raise DataError if they do not give the same examples."""
    code = {
        f"{section}.{key}": value
        for section, key in (("task", "name"), ("model", "head"))
        if str(value := getattr(getattr(source.config, section), key)).endswith(".py")
    }
    try:
        written = split(read(resolve_source(str(folder / SETTINGS), code))).examples()
    except BertuneError as error:
        raise DataError(
            f"the splits of {source.given} cannot be written as files that give the same rows: {error}. "
            "Nothing was written"
        ) from error
    for name, examples in splits.examples().items():
        if fingerprint(written[name]) != fingerprint(examples):
            row = next(_different(examples, written[name]), examples[0])
            raise DataError(
                f"{row.origin}: this row cannot be written as a file without a change, so the {name} split "
                "would not be the same. Nothing was written. Convert the file to JSON Lines or CSV first"
            )


def _different(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Any]:
    for first, second in zip(before, after, strict=False):
        if (first.texts, first.gold) != (second.texts, second.gold):
            yield first
