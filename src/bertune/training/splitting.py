"""Splits tables into training, validation and test rows, by the settings in [data]."""

from collections.abc import Hashable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import Any

from bertune.config import Config
from bertune.data.split import TRAIN, Splittable, divide, hold_out, joined, larger_than_asked
from bertune.errors import ConfigError, DataError, counted
from bertune.tasks import Task
from bertune.training.reading import Tables
from bertune.training.row_keys import RowKeys

Rows = dict[str, tuple[str, SequenceOf[int]]]  # table and its rows, by split
HELD_OUT = ("validation", "test")
CALIBRATION = "calibration"  # the split that neither trains nor selects the checkpoint
_ORDER = (TRAIN, "validation", CALIBRATION, "test")
_LEAST_TO_DIVIDE = 500  # validation rows; with fewer, all of them are needed to select the checkpoint
_TO_CALIBRATE, _TO_DECIDE = 1 / 3, 1 / 2  # fractions of the validation rows


@dataclass(frozen=True)
class Splits:
    """The rows of each split. Folds are several splits of the same tables."""

    tables: Tables
    rows: Mapping[str, tuple[str, SequenceOf[int]]]  # table and its rows, by split (as in Prepared)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)  # how the rows were split, as plain JSON

    def examples(self) -> dict[str, list[Any]]:
        """The examples of each split, in the order of its rows."""
        by_table = self.tables.examples
        return {split: [by_table[table][i] for i in rows] for split, (table, rows) in self.rows.items()}

    def groups(self) -> dict[str, tuple[int, ...]]:
        """The group of each example of each split: examples with the same number are not independent."""
        units = {table: joined(*group_keys(self.tables, table)) for table in self.tables.examples}
        return {split: tuple(units[table][i] for i in rows) for split, (table, rows) in self.rows.items()}


def group_keys(tables: Tables, table: str) -> list[SequenceOf[Hashable]]:
    """The keys of rows that must stay together: the group key of the task, and the cells of data.group."""
    examples = tables.examples[table]
    keys: list[SequenceOf[Hashable]] = [[tables.task.group_key(example) for example in examples]]
    groups = tables.keys.get(table, RowKeys()).groups
    return [*keys, groups] if groups else keys


def splittable(tables: Tables) -> Splittable:
    """The constraints on how the training rows may be split."""
    examples, task = tables.examples["train"], tables.task
    several = [task.stratify_labels(example) for example in examples]
    has_several = any(labels is not None for labels in several)
    if has_several:
        labels = [labels or () for labels in several]
    else:
        keys = [task.stratify_key(example) for example in examples]
        labels = [() if key is None else (str(key),) for key in keys]
    times = tables.keys.get("train", RowKeys()).times
    units = joined(*group_keys(tables, "train"))
    return Splittable([e.origin for e in examples], units, labels, times or None, has_several)


def split(tables: Tables) -> Splits:
    """Split the tables by files, by a column, or by holding out training rows. Raises ConfigError, DataError.

    Without a validation table, training rows are held out. Without a calibration table, some validation rows
    are kept for calibration, if there are many.
    """
    return with_calibration(_split(tables))


def _split(tables: Tables) -> Splits:
    config, keys = tables.config, tables.keys.get("train", RowKeys())
    if keys.folds:
        raise ConfigError(
            f"data.split_column={config.data.split_column} holds fold numbers. `bertune cross-validate` uses "
            "them; for a single run, set it to a column with the values train, validation and test, or "
            "remove it"
        )
    rows = given_rows(tables)
    shares = _shares(config, rows)
    if not shares:
        return Splits(tables, rows, _column_notes(tables, rows), (), _record(config, rows, {}, ""))
    of_train = rows["train"][1]
    all_rows = splittable(tables)
    seed, seed_name = split_seed(config)
    found = hold_out(all_rows.of(of_train), shares, seed)
    held_out: Rows = {
        name: ("train", [of_train[row] for row in positions]) for name, positions in found.items()
    }
    rows |= held_out
    rows = {name: rows[name] for name in _ORDER if name in rows}
    how = described(all_rows, config)
    sizes = {name: len(rows[name][1]) for name in shares}
    settings = {name: f"data.{name}_fraction={share:g}" for name, share in shares.items()}
    seeded = "" if all_rows.times else f", {seed_name}={seed}"
    notes = [
        f"{name}: {size:,} of {len(of_train):,} training rows, {how} ({settings[name]}{seeded})"
        for name, size in sizes.items()
    ]
    num_labels = len({label for labels in all_rows.labels for label in labels})
    too_large = (
        larger_than_asked(len(of_train), size, shares[name], num_labels, name) for name, size in sizes.items()
    )
    return Splits(
        tables,
        rows,
        (*_column_notes(tables, rows), *notes),
        tuple(filter(None, too_large)),
        _record(config, rows, shares, how),
    )


def with_calibration(splits: Splits) -> Splits:
    """Keep some validation rows for calibration, which then do not select the checkpoint. Raises DataError.

    The splits are unchanged if there is a calibration table, or if there are too few validation rows.
    """
    tables, config = splits.tables, splits.tables.config
    table, validation = splits.rows["validation"]
    fraction = _calibration_fraction(config, tables.task, len(validation))
    if CALIBRATION in splits.rows or not fraction:
        return splits
    examples = [tables.examples[table][row] for row in validation]
    of_table = joined(*group_keys(tables, table))
    units = [of_table[row] for row in validation]
    strata = [tables.task.stratify_key(example) for example in examples]
    seed, seed_name = split_seed(config)
    selecting, calibrating = divide(units, strata, (1 - fraction, fraction), seed)
    if not selecting or not calibrating:
        raise DataError(
            f"{examples[0].origin.file}: the validation split has {counted(len(examples), 'row')} in "
            f"{counted(len(set(units)), 'group')}, too few to keep some for calibration. Set "
            "data.calibration=FILE"
        )
    note = (
        f"calibration: {len(calibrating):,} of {len(examples):,} validation rows, which do not select the "
        f"checkpoint (data.calibration_fraction={fraction:.3g}, {seed_name}={seed})"
    )
    chosen = dict(splits.rows)
    chosen["validation"] = (table, [validation[row] for row in selecting])
    chosen[CALIBRATION] = (table, [validation[row] for row in calibrating])
    chosen = {name: chosen[name] for name in _ORDER if name in chosen}
    return replace(splits, rows=chosen, notes=(*splits.notes, note))


def _calibration_fraction(config: Config, task: Task, num_validation: int) -> float:
    """The fraction of the validation rows to keep for calibration; 0: none."""
    fraction, decide = config.data.calibration_fraction, config.decide
    if fraction != "auto":
        return float(fraction)
    if decide.has_target:
        return _TO_DECIDE
    applies = task.is_calibrated and decide.calibration != "none" and num_validation >= _LEAST_TO_DIVIDE
    return _TO_CALIBRATE if applies else 0.0


def split_seed(config: Config) -> tuple[int, str]:
    """The random seed of the split, and the setting that it comes from."""
    if config.data.split_seed is not None:
        return config.data.split_seed, "data.split_seed"
    return config.train.seed, "train.seed"


def given_rows(tables: Tables) -> Rows:
    """The rows of the splits that files and data.split_column determine. Raises DataError."""
    config = tables.config
    rows: Rows = {table: (table, range(len(examples))) for table, examples in tables.examples.items()}
    assigned = tables.keys.get("train", RowKeys()).splits
    for name in HELD_OUT if assigned else ():
        chosen = [row for row, split in enumerate(assigned) if split == name]
        if chosen and name in rows:
            raise DataError(
                f"{tables.examples['train'][chosen[0]].origin}: data.split_column={config.data.split_column} "
                f"assigns this row to {name}, but data.{name} is a file. Remove one of the two"
            )
        if chosen:
            rows[name] = ("train", chosen)
    if assigned:
        rows["train"] = ("train", [row for row, split in enumerate(assigned) if split == "train"])
        if not rows["train"][1]:
            raise DataError(
                f"{tables.examples['train'][0].origin.file}: data.split_column={config.data.split_column} "
                "assigns no row to train. Expected rows for training"
            )
    return {name: rows[name] for name in _ORDER if name in rows}


def _shares(config: Config, rows: Mapping[str, object]) -> dict[str, float]:
    """The splits to hold out, and their shares of the training rows. Raises ConfigError."""
    if config.data.test_fraction and "test" in rows:
        given = f"data.test={config.data.test}" if config.data.test else "the rows of data.split_column"
        raise ConfigError(
            f"data.test_fraction={config.data.test_fraction:g} holds out training rows for the test, but "
            f"there is a test split already: {given}. Remove one of the two"
        )
    fractions = {"validation": config.data.validation_fraction, "test": config.data.test_fraction}
    return {name: share for name, share in fractions.items() if share and name not in rows}


def described(rows: Splittable, config: Config) -> str:
    """How rows are split, in a few words: stratified by label, in whole groups …"""
    if rows.times is not None:
        how = f"in order of data.time={config.data.time}"
    elif rows.has_several and rows.has_labels:
        how = "stratified iteratively by all labels"
    else:
        how = "stratified by label" if rows.has_labels else "at random"
    return how + (", in whole groups" if rows.has_groups or config.data.group else "")


def _column_notes(tables: Tables, rows: Rows) -> tuple[str, ...]:
    column = tables.config.data.split_column
    if not tables.keys.get("train", RowKeys()).splits:
        return ()
    sizes = ", ".join(f"{len(chosen):,} {name}" for name, (table, chosen) in rows.items() if table == "train")
    return (f"rows by data.split_column={column}: {sizes}",)


def straddling_warnings(tables: Tables, rows: Rows) -> Iterator[str]:
    """A warning for each pair of splits that share groups, where the user determined the splits."""
    if not (tables.config.data.group or tables.config.data.split_column):
        return
    values: dict[str, set[tuple[int, Hashable]]] = {}
    for name, (table, chosen) in rows.items():
        keys = group_keys(tables, table)
        found = {(kind, key[row]) for kind, key in enumerate(keys) for row in chosen}
        values[name] = {(kind, value) for kind, value in found if value is not None}
    names = list(values)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            shared = values[first] & values[second]
            if shared:
                example = min(str(value) for _, value in shared)
                yield (
                    f'{counted(len(shared), "group")} of rows, such as "{example[:60]}", '
                    f"{'is' if len(shared) == 1 else 'are'} in both {first} and {second}, which inflates the "
                    f"{second} scores"
                )


def _record(config: Config, rows: Rows, shares: Mapping[str, float], how: str) -> dict[str, Any]:
    data = config.data
    names = {"group": data.group, "time": data.time, "split_column": data.split_column}
    by_column = data.split_column is not None
    origin = {
        name: how if name in shares else "data.split_column" if by_column and table == "train" else "file"
        for name, (table, _) in rows.items()
        if name != TRAIN
    }
    return {
        "how": origin,
        "fractions": dict(shares),
        "seed": split_seed(config)[0] if shares and data.time is None else None,
        **{key: name for key, name in names.items() if name is not None},
    }
