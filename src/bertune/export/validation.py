"""Read the validation rows of a finished run again."""

import os
from collections.abc import Hashable
from dataclasses import dataclass

from bertune.config import Settings
from bertune.data.rows import Row
from bertune.errors import ConfigError, DataError
from bertune.export.reference import Values
from bertune.run import Run
from bertune.source import Source, resolve_source
from bertune.training import preparing, reading


@dataclass(frozen=True)
class Validation:
    """The validation rows of a run."""

    groups: list[list[Values]]  # per example: the rows that the task grouped into it, usually a single one
    keys: list[Hashable]  # per example: examples with the same key belong together; None if independent


def validation_rows(run: Run, settings: Settings) -> Validation:
    """The validation split of a run, read again from its source and split as in training.

    `settings` can name files that have moved. Raises InputError if the data has changed since training or
    cannot be read.
    """
    source = _source(run, settings)
    tables = reading.read(source)
    name, positions = preparing.split(tables).rows["validation"]
    examples = [tables.examples[name][i] for i in positions]
    recorded = _recorded_sha256(run)
    if recorded is not None and preparing.fingerprint(examples) != recorded:
        raise DataError(
            f"{examples[0].origin.file}: the validation rows differ from those of the training. An export is "
            "compared with the trained model on the same rows. Restore the file from a copy"
        )
    table, _, _ = reading.open_split(source, name, tables.task)
    chosen = set(positions)  # in ascending order, as `split` returns them
    groups = [_values(row) for number, row in enumerate(table.rows()) if number in chosen]
    return Validation(groups, [tables.task.group_key(example) for example in examples])


def _source(run: Run, settings: Settings) -> Source:
    try:
        # An absolute path, because a relative one may also be the name of a data set.
        return resolve_source(os.path.abspath(run.path), settings)
    except ConfigError as error:
        if "passed from Python" not in str(error):
            raise
        raise ConfigError(
            f"{run.path} was trained on data passed from Python, which the run does not contain. Name files "
            "with the same rows: data.train=FILE, and data.validation=FILE if there was one"
        ) from error


def _recorded_sha256(run: Run) -> str | None:
    splits = run.manifest.get("data", {}).get("splits", {})
    found: str | None = splits.get("validation", {}).get("sha256")
    return found


def _values(row: Row) -> list[Values]:
    """The values of a row, or of the rows that were grouped into it, so that they can be read from JSON."""
    rows = row.parts or (row,)
    return [
        {
            column: value.replace(",", ".") if column in part.decimal_commas and value is not None else value
            for column, value in part.values.items()
        }
        for part in rows
    ]
