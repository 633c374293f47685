"""Read all tables of a source into examples, the first stage of data preparation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bertune.audit.source_columns import Column, SourceColumns
from bertune.audit.statistics import all_numbers
from bertune.config import Config
from bertune.data.columns import Columns, pointed_numbers_warning
from bertune.data.formats import file_suffix
from bertune.data.tables import Table, open_table
from bertune.errors import DataError
from bertune.source import SPLITS, Source
from bertune.tasks import Task, make_task
from bertune.tasks.encoder import columns_to_train, known_column_names, read_examples
from bertune.training.deduplication import deduplicated
from bertune.training.row_keys import RowKeys, key_cells
from bertune.training.selection import best_metric


@dataclass(frozen=True)
class Tables:
    """The examples of a source by table, without weights or open files."""

    config: Config
    task: Task
    columns: Columns  # of the first table
    examples: Mapping[str, list[Any]]  # by table: train, and validation and test if given
    notes: tuple[str, ...]
    keys: Mapping[str, RowKeys] = field(default_factory=dict)  # by table: groups, times, splits of the rows
    # By table, the columns that the task does not use; for the audit.
    others: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    # By table, the values of these columns that are categories, by number.
    categories: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    # The number of training rows, by the setting that dropped them.
    dropped: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[int, ...] | None = None  # positions of the other training rows in their file; None: all
    warnings: tuple[str, ...] = ()  # about values that can be read in two ways
    source: Source | None = None  # from which the original rows can be read again


def read(source: Source) -> Tables:
    """The examples of all tables of a source, without copies that settings drop. Raises InputError."""
    with source.locating():
        task = make_task(source.config.task)
    best_metric(source.config.train.best_metric, task.fitted())  # reports errors before files are read
    return _without_copies(_read_all(source, task))


def _without_copies(tables: Tables) -> Tables:
    """The tables without the training rows that settings drop because they repeat others."""
    found = deduplicated(tables.examples, tables.config.data)
    if found is None:
        return tables
    kept, train = list(found.kept), tables.examples["train"]
    others = {name: values[kept] for name, values in tables.others.get("train", {}).items()}
    return replace(
        tables,
        examples={**tables.examples, "train": [train[row] for row in kept]},
        keys={**tables.keys, "train": tables.keys["train"].of(kept)},
        others={**tables.others, "train": others},
        notes=(*tables.notes, found.note),
        dropped=found.dropped,
        kept=found.kept,
    )


def _read_all(source: Source, task: Task) -> Tables:
    config = source.config
    examples: dict[str, list[Any]] = {}
    keys: dict[str, RowKeys] = {}
    others: dict[str, Mapping[str, Column]] = {}
    categories: dict[str, Mapping[str, tuple[str, ...]]] = {}
    chosen: Columns | None = None
    notes: list[str] = []
    warnings: list[str] = []
    for split in SPLITS:
        file = getattr(config.data, split)
        if file is None:
            continue
        table, columns, new = open_split(source, split, task)
        notes += [note for note in new if note not in notes]
        _refuse_number(columns, task, config, table)
        chosen = chosen or columns
        # If each text is a separate sequence, a task may train on triplets and validate on scored pairs.
        if len(columns.text) != len(chosen.text) and not task.predicts_single_texts:
            raise DataError(
                f"{table.name}: the text is in {' and '.join(columns.text)}, but in the training file in "
                f"{' and '.join(chosen.text)}. Expected the same number of text columns. Set data.text"
            )
        cells, new = key_cells(table, config.data, split)
        notes += new
        watched = SourceColumns(cells.recording(table), {*columns.text, columns.label, columns.id})
        examples[split] = read_examples(
            watched.table, task, columns, config.train.max_examples if split == "train" else None
        )
        if not examples[split]:
            raise DataError(f"{table.name}: the file has no rows")
        keys[split] = cells.keys()
        others[split] = watched.values(len(examples[split]))
        categories[split] = watched.categories(len(examples[split]))
        if isinstance(examples[split][0].gold, float):
            warnings.append(pointed_numbers_warning(table, columns))
        if split == "train":
            task = task.informed(examples[split])
        if all_numbers([e.texts for e in examples[split]]):
            raise DataError(
                f"{examples[split][0].origin}: every text is a number, such as "
                f'"{examples[split][0].texts[0]}". Expected texts in data.text={",".join(columns.text)}. Set '
                f"data.text to one of the columns {', '.join(table.columns)}"
            )
    assert chosen is not None, "a source always has training data"
    all_notes = (*source.notes, *notes)
    return Tables(
        config,
        task,
        chosen,
        examples,
        all_notes,
        keys,
        others,
        categories,
        warnings=tuple(filter(None, warnings)),
        source=source,
    )


def open_split(source: Source, split: str, task: Task) -> tuple[Table, Columns, list[str]]:
    """The table of a split that the settings name, its columns, and notes on what was inferred.

    Raises DataError.
    """
    config = source.config
    table = source.tables.get(split) or open_table(
        source.files.get(split) or getattr(config.data, split),
        config.data,
        known_column_names(task),
        like=file_suffix(config.data.train or ""),
    )
    table = task.grouped(table, config.data.text, config.data.label, required=True)
    columns, notes = columns_to_train(table, task, config.data)
    return table, columns, [*table.notes, *notes]


def _refuse_number(columns: Columns, task: Task, config: Config, table: Table) -> None:
    if len(columns.text) not in task.columns.num_texts:
        takes = " or ".join(str(n) for n in task.columns.num_texts)
        raise DataError(
            f"{table.name}: task.name={config.task.name} takes {takes} text columns, got "
            f"{len(columns.text)}: {', '.join(columns.text)}. Set data.text"
        )
