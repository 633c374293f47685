"""Divides the training rows of tables into folds for cross-validation."""

import warnings
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bertune.data.split import Splittable, consecutive, hold_out
from bertune.data.stratification import stratified_iteratively
from bertune.errors import ConfigError, DataError, counted, listed
from bertune.manifest.data import SplittingRecord
from bertune.optional_packages import needs
from bertune.training.reading import Tables
from bertune.training.row_keys import RowKeys
from bertune.training.splitting import (
    Splits,
    described,
    given_rows,
    split,
    splittable,
    straddling_warnings,
    with_calibration,
)


@dataclass(frozen=True)
class Folds:
    """The fold of every training row, for each repetition.

    Each fold is the test split of one run. The other rows are its training split, from which validation
    rows are held out, so that the rows of a fold do not select the checkpoint that predicts them.
    """

    tables: Tables
    of_row: SequenceOf[SequenceOf[int | None]]  # [repeats, N] fold from 1; None: only trained on, or left out
    rows: Splittable
    how: str  # in a few words
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def num_folds(self) -> int:
        """The number of folds of a repetition."""
        return max(fold for fold in self.of_row[0] if fold is not None)

    @property
    def num_repeats(self) -> int:
        """The number of repetitions."""
        return len(self.of_row)

    def numbers(self) -> list[tuple[int, int]]:
        """Repetition and fold of each run, both from 1."""
        repeats, folds = range(1, self.num_repeats + 1), range(1, self.num_folds + 1)
        return [(repeat, fold) for repeat in repeats for fold in folds]

    def held_out(self, repeat: int, fold: int) -> list[int]:
        """The training rows in a fold, in source order."""
        return [row for row, number in enumerate(self.of_row[repeat - 1]) if number == fold]

    def splits(self, repeat: int, fold: int) -> Splits:
        """The training, validation and test rows of a fold. Raises DataError."""
        config, given = self.tables.config, given_rows(self.tables)
        held_out = set(self.held_out(repeat, fold))
        rest = [row for row in given["train"][1] if row not in held_out]
        if self.rows.times is not None:
            times = self.rows.times
            first = min(times[row] for row in held_out)
            rest = [row for row in rest if times[row] < first]
        seed = (config.train.seed + repeat - 1) % 2**32
        rows: dict[str, tuple[str, SequenceOf[int]]] = {"train": ("train", rest)}
        if "validation" in given:
            rows["validation"] = given["validation"]
        else:
            share = {"validation": config.data.validation_fraction}
            found = hold_out(self.rows.of(rest), share, seed, is_strict=False)
            rows |= {name: ("train", [rest[row] for row in chosen]) for name, chosen in found.items()}
        rows["test"] = ("train", sorted(held_out))
        note = f"test: fold {fold} of {self.num_folds}, {counted(len(held_out), 'row')}, {self.how}"
        record: dict[str, Any] = {
            "how": {"validation": "file" if "validation" in given else self.how, "test": f"fold, {self.how}"},
            "seed": seed,
            "fold": {
                "repeat": repeat,
                "fold": fold,
                "folds": self.num_folds,
                "repeats": self.num_repeats,
            },
        }
        data = config.data
        names = {"group": data.group, "time": data.time, "split_column": data.split_column}
        record |= {key: name for key, name in names.items() if name is not None}
        if self.num_repeats > 1:
            note += f" (repetition {repeat} of {self.num_repeats})"
        if "calibration" in given:
            rows["calibration"] = given["calibration"]
        return with_calibration(Splits(self.tables, rows, (note,), (), record))


def make_folds(tables: Tables) -> Folds:
    """Divide the training rows into folds by the settings in [cross_validate] and [data].

    Rows that data.split_column assigns to validation or test are in no fold. With data.time, each fold
    follows the one before it, and its model is trained on earlier rows only (rolling origin, Tashman 2000),
    so the first part of the rows is in no fold. Raises ConfigError, DataError, MissingPackageError.
    """
    config, rows = tables.config, splittable(tables)
    column, wanted = tables.keys.get("train", RowKeys()).folds, config.cross_validate
    if (column or rows.times is not None) and wanted.repeats > 1:
        name = "split_column" if column else "time"
        raise ConfigError(
            f"cross_validate.repeats={wanted.repeats}: data.{name}={getattr(config.data, name)} determines "
            "the folds, so all repetitions would be identical. Remove cross_validate.repeats"
        )
    if column:
        found, how = [_from_column(tables, column, rows)], f"by data.split_column={config.data.split_column}"
    else:
        found, how = _divided(tables, rows), described(rows, config)
    notes, cautions = tuple(_notes(tables, found[0], how)), tuple(_warnings(tables, found[0], rows))
    return Folds(tables, found, rows, how, notes, cautions)


def splits_of_run(tables: Tables, record: SplittingRecord | None) -> Splits:
    """The splits of a finished run, from its tables and its record. Raises InputError."""
    if record is None or record.fold is None:
        return split(tables)
    fold, given = record.fold, tables.config
    wanted = given.cross_validate.model_copy(update={"folds": fold.folds, "repeats": fold.repeats})
    config = given.model_copy(update={"cross_validate": wanted})
    return make_folds(replace(tables, config=config)).splits(fold.repeat, fold.fold)


def _from_column(tables: Tables, column: SequenceOf[int], rows: Splittable) -> list[int | None]:
    """The folds in a column, numbered from 1 in ascending order."""
    config = tables.config
    name, wanted = config.data.split_column, config.cross_validate
    numbers = {number: position for position, number in enumerate(sorted(set(column)), start=1)}
    file = tables.examples["train"][0].origin.file
    if len(numbers) < 2:
        raise DataError(
            f"{file}: data.split_column={name} holds only one fold number, {column[0]}. Expected at least 2"
        )
    if "folds" in wanted.model_fields_set and wanted.folds != len(numbers):
        raise ConfigError(
            f"cross_validate.folds={wanted.folds}, but data.split_column={name} of {file} has "
            f"{len(numbers)} folds. Remove one of the two settings"
        )
    first: dict[int, int] = {}
    for row, unit in enumerate(rows.units):
        other = first.setdefault(unit, row)
        if column[other] != column[row]:
            raise DataError(
                f"{rows.origins[row]}: data.split_column={name} assigns this row to fold {column[row]}, but "
                f"{rows.origins[other]} of the same group to fold {column[other]}. Groups must be in one "
                "fold, otherwise the scores are inflated. Correct the column"
            )
    return [numbers[number] for number in column]


def _divided(tables: Tables, rows: Splittable) -> list[list[int | None]]:
    """The folds of all rows for each repetition, by time or by random numbers."""
    config, chosen = tables.config, given_rows(tables)["train"][1]
    part, num_folds = rows.of(chosen), config.cross_validate.folds
    num_units = len(set(part.units))
    if num_units < num_folds:
        what = "group" if part.has_groups else "row"
        # Every fold needs other rows to train on, and others to select the checkpoint on.
        remedy = f"Set it to {num_units} or less, or add rows" if num_units > 2 else f"Add {what}s"
        raise DataError(
            f"{part.origins[0].file}: cross_validate.folds={num_folds}, but the training data has only "
            f"{counted(num_units, what)}. {remedy}"
        )
    found = []
    for repeat in range(config.cross_validate.repeats):
        seed = (config.train.seed + repeat) % 2**32
        numbers = _by_time(part, num_folds) if part.times else _at_random(part, num_folds, seed)
        of_row: list[int | None] = [None] * len(rows.units)
        for row, number in zip(chosen, numbers, strict=True):
            of_row[row] = number
        found.append(of_row)
    return found


def _by_time(rows: Splittable, num_folds: int) -> list[int | None]:
    """The folds of a rolling origin; None for the first part."""
    size = len(rows.units) / (num_folds + 1)
    pieces = consecutive(rows, [round(size * number) for number in range(1, num_folds + 1)])
    found: list[int | None] = [None] * len(rows.units)
    for number, piece in enumerate(pieces[1:], start=1):
        for row in piece:
            found[row] = number
    return found


def _at_random(rows: Splittable, num_folds: int, seed: int) -> list[int]:
    """The fold of each row, from 1: stratified if there are labels, in whole groups if there are groups."""
    if rows.has_several and rows.has_labels:
        members = rows.members()
        chosen = stratified_iteratively(
            [len(unit) for unit in members],
            [[label for row in unit for label in rows.labels[row]] for unit in members],
            [1 / num_folds] * num_folds,
            np.random.default_rng([seed, len(rows.units)]),
        )
        number_of = dict(zip((rows.units[unit[0]] for unit in members), chosen, strict=True))
        return [number_of[unit] + 1 for unit in rows.units]
    with needs("sklearn", "to cross-validate"):
        from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
    is_stratified = rows.has_labels and not rows.has_several
    kind = {
        (True, False): StratifiedKFold,
        (True, True): StratifiedGroupKFold,
        (False, True): GroupKFold,
        (False, False): KFold,
    }[is_stratified, rows.has_groups]
    labels = [" ".join(of_row) for of_row in rows.labels]
    if is_stratified and max(Counter(labels).values()) < num_folds:
        raise DataError(
            f"{rows.origins[0].file}: cross_validate.folds={num_folds}, but every label occurs in fewer rows."
            " Set fewer folds, or check that data.label is the right column"
        )
    splitter = kind(n_splits=num_folds, shuffle=True, random_state=seed)
    found = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare labels, which `_warnings` names
        for number, (_, test) in enumerate(splitter.split(labels, labels, rows.units), start=1):
            found[test] = number
    numbers: list[int] = found.tolist()
    return numbers


def _notes(tables: Tables, of_row: SequenceOf[int | None], how: str) -> Iterator[str]:
    sizes = Counter(number for number in of_row if number is not None)
    low, high = min(sizes.values()), max(sizes.values())
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    wanted = tables.config.cross_validate
    times = f", repeated {wanted.repeats} times with other folds" if wanted.repeats > 1 else ""
    seed = "" if tables.config.data.time else f" (train.seed={tables.config.train.seed})"
    yield f"{len(sizes)} folds of {each} rows, {how}{times}{seed}"
    left_out = len(of_row) - sizes.total()
    if tables.config.data.time and left_out:
        yield f"the first {counted(left_out, 'row')} by data.time are only used for training, never predicted"
    given = given_rows(tables)
    if "validation" in given:
        yield "the validation rows select the checkpoint of every fold"
    if "test" in given:
        yield "the test rows are not used"


def _warnings(tables: Tables, of_row: SequenceOf[int | None], rows: Splittable) -> Iterator[str]:
    yield from tables.warnings
    yield from straddling_warnings(tables, given_rows(tables))
    num_folds = len({number for number in of_row if number is not None})
    units = {(label, unit) for labels, unit in zip(rows.labels, rows.units, strict=True) for label in labels}
    counts = Counter(label for label, _ in units)
    rare = [label for label, count in counts.items() if count < num_folds]
    if rare:
        what = "groups of rows" if rows.has_groups else "rows"
        yield (
            f"{counted(len(rare), 'label')} with fewer {what} than the {num_folds} folds cannot be in every "
            f"fold: {listed(rare, 5)}"
        )
