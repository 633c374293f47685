"""Splits the rows of a table: at random, stratified, in whole groups, or by time.

Dimensions: N rows.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bertune.data.rows import Origin
from bertune.data.stratification import stratified_iteratively
from bertune.errors import DataError, counted

TRAIN = "train"
_MUCH_MORE = 1.5  # warn above this multiple of the requested size
_FEW_ROWS = 10  # do not warn below this many surplus rows: in a small file one row is a large share


@dataclass(frozen=True)
class Splittable:
    """The constraints on how the rows of a table may be split; [N] each, in source order."""

    origins: Sequence[Origin]
    units: Sequence[int]  # rows of the same unit stay together; as returned by `joined`
    labels: Sequence[tuple[str, ...]]  # the labels by which splits are stratified; empty: none
    times: Sequence[float] | None = None  # if given, splits are consecutive in time
    has_several: bool = False  # whether a row can have several labels

    def of(self, rows: Sequence[int]) -> "Splittable":
        """The constraints for some of the rows."""
        times = None if self.times is None else [self.times[row] for row in rows]
        return Splittable(
            [self.origins[row] for row in rows],
            joined([self.units[row] for row in rows]),
            [self.labels[row] for row in rows],
            times,
            self.has_several,
        )

    @property
    def has_groups(self) -> bool:
        """Whether some rows must stay together."""
        return len(set(self.units)) < len(self.units)

    @property
    def has_labels(self) -> bool:
        """Whether splits are stratified."""
        return any(self.labels)

    @property
    def has_one_label(self) -> bool:
        """Whether rows have one label, and all rows of a unit the same."""
        of_unit: dict[int, tuple[str, ...]] = {}
        return not self.has_several and all(
            of_unit.setdefault(unit, labels) == labels
            for unit, labels in zip(self.units, self.labels, strict=True)
        )

    def members(self) -> list[list[int]]:
        """The rows of each unit, in order."""
        rows: dict[int, list[int]] = defaultdict(list)
        for row, unit in enumerate(self.units):
            rows[unit].append(row)
        return list(rows.values())


def joined(*keys: Sequence[Hashable]) -> list[int]:
    """The unit of each row [N]: rows that share a value of any of the keys are in the same unit.

    A row whose keys are all None is a separate unit. Units are numbered from 0 in the order of their first
    rows.
    """
    size = len(keys[0]) if keys else 0
    parent = list(range(size))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for key in keys:
        first: dict[Hashable, int] = {}
        for row, value in enumerate(key):
            if value is not None:
                one, other = root(first.setdefault(value, row)), root(row)
                parent[max(one, other)] = min(one, other)
    number: dict[int, int] = {}
    return [number.setdefault(root(row), len(number)) for row in range(size)]


def hold_out(
    rows: Splittable, shares: Mapping[str, float], seed: int, is_strict: bool = True
) -> dict[str, list[int]]:
    """The rows of the training split and of each split in `shares`, in source order.

    Units stay together. `shares` maps a split to its share of all rows. With times, the splits are
    consecutive: training, then the others in the order of `shares`. Otherwise, if each unit has one label,
    each label contributes its share of units to each split, rounded, at least one; and if units have several
    labels, splits are stratified iteratively (Sechidis et al. 2011). The result depends only on the rows and
    the seed. Raises DataError if there are too few units or times; without `is_strict`, the only units of a
    label are used for training instead.
    """
    if not shares:
        return {TRAIN: list(range(len(rows.units)))}
    if rows.times is not None:
        return _by_time(rows, shares)
    if rows.has_one_label:
        return _by_stratum(rows, shares, seed, is_strict)
    members = rows.members()
    if len(members) <= len(shares):
        raise DataError(_too_few(None, rows.origins[0], len(members), shares))
    names = (*shares, TRAIN)
    chosen = stratified_iteratively(
        [len(of_unit) for of_unit in members],
        [[label for row in of_unit for label in rows.labels[row]] for of_unit in members],
        [*shares.values(), 1 - sum(shares.values())],
        np.random.default_rng([seed, len(rows.units)]),
    )
    units: dict[str, list[list[int]]] = {name: [] for name in (TRAIN, *shares)}
    for number, of_unit in zip(chosen, members, strict=True):
        units[names[number]].append(of_unit)
    for name in names:  # of few units, none may be the best choice for a small split
        if not units[name]:
            most = max(names, key=lambda other: len(units[other]))
            units[name].append(units[most].pop())
    return {name: sorted(row for unit in found for row in unit) for name, found in units.items()}


def _by_stratum(
    rows: Splittable, shares: Mapping[str, float], seed: int, is_strict: bool
) -> dict[str, list[int]]:
    strata: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for of_unit in rows.members():
        strata[rows.labels[of_unit[0]]].append(of_unit)
    random = np.random.default_rng([seed, len(rows.units)])
    assigned: dict[str, list[int]] = {name: [] for name in (TRAIN, *shares)}
    for labels, units in strata.items():
        order = random.permutation(len(units)).tolist()
        if len(units) <= len(shares):
            if is_strict or len(strata) == 1:
                stratum = labels[0] if labels else None
                raise DataError(_too_few(stratum, rows.origins[units[0][0]], len(units), shares))
            assigned[TRAIN] += [row for of_unit in units for row in of_unit]
            continue
        left = len(units) - 1  # at least one unit is used for training
        for position, (name, share) in enumerate(shares.items()):
            others = len(shares) - position - 1  # and one for each further split
            num_chosen = min(max(1, round(share * len(units))), left - others)
            assigned[name] += [row for number in order[:num_chosen] for row in units[number]]
            order, left = order[num_chosen:], left - num_chosen
        assigned[TRAIN] += [row for number in order for row in units[number]]
    if not all(assigned.values()):
        raise DataError(_too_few(None, rows.origins[0], len(set(rows.units)), shares))
    return {name: sorted(found) for name, found in assigned.items()}


def _by_time(rows: Splittable, shares: Mapping[str, float]) -> dict[str, list[int]]:
    names = [TRAIN, *shares]
    remaining = [1 - sum(shares.values()), *shares.values()]
    ends = [round(sum(remaining[: n + 1]) * len(rows.units)) for n in range(len(shares))]
    pieces = consecutive(rows, ends)
    return {name: sorted(piece) for name, piece in zip(names, pieces, strict=True)}


def consecutive(rows: Splittable, ends: Sequence[int]) -> list[list[int]]:
    """The rows in order of time, cut into `len(ends) + 1` pieces of whole units that are not empty.

    `ends` are the wanted numbers of rows before each cut, ascending. Rows with equal times are in the same
    piece, so that all times of a piece are before those of the next. Raises DataError if there are too few
    places to cut.
    """
    assert rows.times is not None
    times = rows.times
    # Units whose times overlap cannot be separated: a cut must be after one block and before the next.
    spans = sorted(
        (min(times[row] for row in unit), max(times[row] for row in unit), unit) for unit in rows.members()
    )
    blocks: list[list[int]] = []
    latest = -math.inf
    for first, last, unit in spans:
        if blocks and first <= latest:
            blocks[-1] += unit
        else:
            blocks.append(list(unit))
        latest = max(latest, last)
    if len(blocks) <= len(ends):
        raise DataError(_too_few_times(rows, spans, len(blocks), len(ends) + 1))
    sizes = np.cumsum([len(block) for block in blocks])
    cuts: list[int] = []  # numbers of blocks before each cut
    for position, end in enumerate(ends):
        low = cuts[-1] + 1 if cuts else 1
        high = len(blocks) - (len(ends) - position) + 1
        cuts.append(min(range(low, high), key=lambda cut: abs(int(sizes[cut - 1]) - end)))
    edges = [0, *cuts, len(blocks)]
    return [[row for block in blocks[low:high] for row in block] for low, high in pairwise(edges)]


def _too_few_times(
    rows: Splittable, spans: Sequence[tuple[float, float, list[int]]], num_blocks: int, needed: int
) -> str:
    times = rows.times or ()
    problem = (
        f"{rows.origins[0].file}: data.time allows only {counted(num_blocks, 'part')} in order of time, but "
        f"{needed} are needed"
    )
    longest = max(spans, key=lambda span: span[1] - span[0])
    if longest[0] == longest[1]:
        return (
            f"{problem}: rows with equal times stay in the same part. Use a column with more different times,"
            " or set data.validation and data.test to files"
        )
    first, last = (pick(longest[2], key=lambda row: times[row]) for pick in (min, max))
    return (
        f"{problem}: rows of the same group stay together, and their times overlap. The rows at "
        f"{rows.origins[first]}, and {rows.origins[last]}, for example, are in one group. Split by time or "
        "by group, or set data.validation and data.test to files"
    )


def divide(
    units: Sequence[Hashable], strata: Sequence[Hashable], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Divide rows into parts with these shares, which sum to 1; positions in source order.

    Units and strata are as in `split_rows`, but a stratum may have a single unit, which goes to one of the
    parts. Units of each stratum are dealt out in random order, so that no part is off by more than one
    unit of its share of the units so far.
    """
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        rows[("row", position) if unit is None else ("unit", unit)].append(position)
    members: dict[Hashable, list[list[int]]] = defaultdict(list)
    for positions in rows.values():
        members[strata[positions[0]]].append(positions)
    random = np.random.default_rng([seed, len(units), len(shares)])
    parts: list[list[int]] = [[] for _ in shares]
    missing = np.zeros(len(shares))  # units that each part lacks of its share
    for candidates in members.values():
        for number in random.permutation(len(candidates)):
            missing += shares
            chosen = int(missing.argmax())
            missing[chosen] -= 1
            parts[chosen] += candidates[number]
    return [sorted(part) for part in parts]


def larger_than_asked(
    num_rows: int, num_held_out: int, share: float, num_labels: int, name: str = "validation"
) -> str | None:
    """A warning, with reason and remedy, if a split is much larger than `share` of all rows; else None.

    `num_labels` is the number of labels by which the rows are stratified.
    """
    requested = max(1, round(share * num_rows))
    if num_held_out <= _MUCH_MORE * requested or num_held_out - requested < _FEW_ROWS:
        return None
    if num_labels > requested:
        why = f"each of the {num_labels:,} labels needs at least one {name} row"
        remedy = f"Set data.{name} to a file, or merge rare labels"
    else:
        why = "rows of the same group stay together"
        remedy = f"Set data.{name} to a file, or use another train.seed"
    of_all = f"{requested:,} of {counted(num_rows, 'row')}"
    return (
        f"data.{name}_fraction={share:g} requests {of_all}, but {why}: the {name} split has "
        f"{counted(num_held_out, 'row')} ({num_held_out / num_rows:.1%}). {remedy}"
    )


def _too_few(stratum: str | None, origin: Origin, num_units: int, shares: Mapping[str, float]) -> str:
    files = " and ".join(f"data.{name}" for name in shares)
    one = len(shares) == 1
    if stratum is None:
        only = "a single row, or a single group of rows" if num_units == 1 else f"{num_units} rows or groups"
        return (
            f"{origin}: the training data is {only}, so no rows can be held out for {' and '.join(shares)}. "
            f"Add rows, or set {files} to {'a file' if one else 'files'}"
        )
    where = "only here" if num_units == 1 else f"in only {num_units} rows or groups of rows, the first here"
    splits = f"both the training and the {next(iter(shares))} split" if one else "all three splits"
    return (
        f'{origin}: the label "{stratum}" occurs {where}, so it cannot be in {splits}. Add examples with that'
        f" label, remove the row{'' if num_units == 1 else 's'}, or set {files} to "
        f"{'a file' if one else 'files'}"
    )
