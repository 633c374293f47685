"""Splits a table into training and validation rows."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from bertune.data.rows import Origin
from bertune.errors import DataError, counted

_MUCH_MORE = 1.5  # warn above this multiple of the requested size
_FEW_ROWS = 10  # do not warn below this many surplus rows: in a small file one row is a large share


def split_rows(
    units: Sequence[Hashable],
    strata: Sequence[Hashable],
    origins: Sequence[Origin],
    share: float,
    seed: int,
) -> tuple[list[int], list[int]]:
    """The positions of the training rows and of the validation rows, both in source order.

    Rows of the same unit stay together; a row whose unit is None is a separate unit. A unit belongs to the
    stratum of its first row. Each stratum contributes `share` of its units to validation, rounded, with at
    least one unit on either side. The result depends only on the order of the rows, their units and strata,
    and the seed. Raises DataError if a stratum has a single unit.
    """
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        rows[("row", position) if unit is None else ("unit", unit)].append(position)
    members: dict[Hashable, list[list[int]]] = defaultdict(list)
    for positions in rows.values():
        members[strata[positions[0]]].append(positions)
    random = np.random.default_rng([seed, len(strata)])
    validation: list[int] = []
    for stratum, candidates in members.items():
        if len(candidates) < 2:
            raise DataError(_too_few(stratum, origins[candidates[0][0]]))
        num_chosen = min(max(1, round(share * len(candidates))), len(candidates) - 1)
        chosen = random.permutation(len(candidates))[:num_chosen]
        validation += [position for number in chosen for position in candidates[number]]
    held_out = set(validation)
    return [i for i in range(len(strata)) if i not in held_out], sorted(validation)


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
    num_rows: int, num_held_out: int, share: float, strata: Sequence[Hashable]
) -> str | None:
    """A warning, with reason and remedy, if the validation split is much larger than `share`; else None."""
    requested = max(1, round(share * num_rows))
    if num_held_out <= _MUCH_MORE * requested or num_held_out - requested < _FEW_ROWS:
        return None
    num_labels = len(set(strata) - {None})
    if num_labels > requested:
        why = f"each of the {num_labels:,} labels needs at least one validation row"
        remedy = "Set data.validation to a file, or merge rare labels"
    else:
        why = "rows of the same group stay together"
        remedy = "Set data.validation to a file, or use another train.seed"
    of_all = f"{requested:,} of {counted(num_rows, 'row')}"
    return (
        f"data.validation_fraction={share:g} requests {of_all}, but {why}: the validation split has "
        f"{counted(num_held_out, 'row')} ({num_held_out / num_rows:.1%}). {remedy}"
    )


def _too_few(stratum: Hashable, origin: Origin) -> str:
    if stratum is None:
        return (
            f"{origin}: the training data is a single row, or a single group of rows, so no rows can be held "
            "out for validation. Add rows, or set data.validation to a file"
        )
    return (
        f'{origin}: the label "{stratum}" occurs only here, so it cannot be in both the training and the '
        "validation split. Add examples with that label, remove the row, or set data.validation to a file"
    )
