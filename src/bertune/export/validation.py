"""Read the validation rows of a finished run again."""

import os
from collections.abc import Hashable
from dataclasses import dataclass, replace

from bertune.config import Settings
from bertune.data.memory import MEMORY
from bertune.errors import ConfigError, DataError
from bertune.export.rows import StoredRows
from bertune.run import Run
from bertune.source import SPLITS, Source, resolve_source
from bertune.training import preparing, reading
from bertune.training.folds import splits_of_run
from bertune.training.splitting import CALIBRATION


@dataclass(frozen=True)
class Validation:
    """The validation rows of a run."""

    rows: StoredRows
    keys: list[Hashable]  # per row: rows with the same key belong together; None if independent


def validation_rows(run: Run, settings: Settings) -> Validation:
    """The validation split of a run, read again from its source and split as in training.

    `settings` can name files that have moved. Raises InputError if the data has changed since training or
    cannot be read.
    """
    source = _source(run, settings)
    tables = reading.read(source)
    data = run.record.data
    splits = splits_of_run(tables, None if data is None else data.split)
    name, positions = splits.rows["validation"]
    examples = [tables.examples[name][i] for i in positions]
    recorded = _recorded_sha256(run)
    if recorded is not None and preparing.fingerprint(examples) != recorded:
        raise DataError(
            f"{examples[0].origin.file}: the validation rows differ from those used in training. An export "
            "is compared with the trained model on the same rows. Restore the file from a copy, or set "
            "data.train and data.validation to copies of the original files"
        )
    table, columns, _ = reading.open_split(source, name, tables.task)
    if name == "train" and tables.kept is not None:
        positions = [tables.kept[i] for i in positions]  # in the file
    rows = StoredRows.of_table(table, columns, positions)
    return Validation(rows, list(splits.groups()["validation"]))


def _source(run: Run, settings: Settings) -> Source:
    """The source of a run, without its test split, unless it determines which training rows were kept."""
    given, stored = settings.get("data", {}), run.config.data
    lost = [
        split for split in SPLITS if split != "test" and getattr(stored, split) == MEMORY
    ]  # passed from Python
    if not set(lost) <= given.keys():
        files = " and ".join(f"data.{split}=FILE" for split in lost)
        raise ConfigError(
            f"{run.path} was trained on data passed from Python, which the run does not contain. Write the "
            f"same rows to a file and set {files}"
        )
    # An absolute path, because a relative one may also be the name of a data set.
    source = resolve_source(os.path.abspath(run.path), settings)
    data = source.config.data
    if not data.deduplicate and data.near_duplicates == "keep":  # otherwise test rows decide what is dropped
        data = data.model_copy(update={"test": None})
    if CALIBRATION not in run.manifest.get("data", {}).get("splits", {}):  # as in runs of earlier versions
        data = data.model_copy(update={"calibration_fraction": 0.0})
    return replace(source, config=source.config.model_copy(update={"data": data}))


def _recorded_sha256(run: Run) -> str | None:
    splits = run.manifest.get("data", {}).get("splits", {})
    found: str | None = splits.get("validation", {}).get("sha256")
    return found
