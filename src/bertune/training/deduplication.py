"""Dropping training rows that repeat others, before the split, so that no copies straddle it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.audit.duplicates import NONE, find_duplicates
from bertune.config import DataConfig
from bertune.errors import DataError, counted
from bertune.optional_packages import require


@dataclass(frozen=True)
class Deduplicated:
    """The training rows that are left, by position, and what was dropped."""

    kept: tuple[int, ...]
    dropped: Mapping[str, int]  # the number of dropped rows, by the setting that dropped them
    note: str


def deduplicated(examples: Mapping[str, list[Any]], data: DataConfig) -> Deduplicated | None:
    """Drop training rows by `data.deduplicate` and `data.near_duplicates`; None if neither is set.

    A training row is dropped if it repeats an earlier training row, or any row of the validation or test
    table. `examples` has the examples of each table. Raises DataError if no training row is left, and
    MissingPackageError if near duplicates of long texts cannot be found.
    """
    drops_near = data.near_duplicates == "drop"
    if not data.deduplicate and not drops_near:
        return None
    train = examples["train"]
    kept, counts = np.arange(len(train)), _Counts()
    while True:  # a row that was dropped may have hidden a pair of others
        is_dropped = _copies({**examples, "train": [train[row] for row in kept.tolist()]}, drops_near, counts)
        if not is_dropped.any():
            break
        kept = kept[~is_dropped]
        if not len(kept):
            raise DataError(
                f"{train[0].origin.file}: every training row repeats a row of the validation or test "
                "data, so none is left to train on. Use other files, or remove data.deduplicate and "
                "data.near_duplicates"
            )
    dropped = {"deduplicate": counts.exact, "near_duplicates": counts.near}
    return Deduplicated(tuple(kept.tolist()), dropped, _note(counts, len(train), drops_near))


@dataclass
class _Counts:
    """The numbers of dropped rows."""

    exact: int = 0
    near: int = 0
    of_others: int = 0  # that repeat a validation or test row
    conflicts: int = 0  # with a different label from the training row that they repeat


def _copies(examples: Mapping[str, list[Any]], drops_near: bool, counts: _Counts) -> NDArray[np.bool_]:
    """The training rows to drop; adds their numbers to `counts`."""
    texts = {table: [example.texts for example in rows] for table, rows in examples.items()}
    duplicates = find_duplicates(texts, near=drops_near)
    if drops_near and duplicates.unsearched:
        require("train", "to find near duplicates of long texts", ["rensa"])
    train = examples["train"]
    is_exact, is_near, is_of_other = (np.zeros(len(train), bool) for _ in range(3))
    for table in examples:
        found = duplicates.repeats("train", table)
        near = found.near if drops_near else np.full(len(train), NONE)
        is_exact |= found.exact != NONE
        is_near |= near != NONE
        repeated = np.where(found.exact != NONE, found.exact, near)
        if table == "train":
            at = np.flatnonzero(repeated != NONE).tolist()
            counts.conflicts += sum(train[row].gold != train[int(repeated[row])].gold for row in at)
        else:
            is_of_other |= repeated != NONE
    counts.exact += int(is_exact.sum())
    counts.near += int((is_near & ~is_exact).sum())
    counts.of_others += int(is_of_other.sum())
    return is_exact | is_near


def _note(counts: _Counts, total: int, drops_near: bool) -> str:
    """A message on the dropped rows."""
    num_dropped = counts.exact + counts.near
    kinds = (
        f"{counts.exact:,} exact and {counts.near:,} near duplicates" if drops_near else "exact duplicates"
    )
    note = f"dropped {num_dropped:,} of {counted(total, 'training row')} ({kinds})"
    if counts.of_others:
        repeat = "repeats" if counts.of_others == 1 else "repeat"
        note += f"; {counts.of_others:,} of them {repeat} a row of the validation or test data"
    if counts.conflicts:
        have, repeat = ("has", "it repeats") if counts.conflicts == 1 else ("have", "they repeat")
        note += f"; {counts.conflicts:,} {have} a different label from the training row that {repeat}"
    return note
