"""Owns the split of one table into training and validation rows."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from bertune.data.rows import Origin
from bertune.errors import DataError

_MUCH_MORE = 1.5  # times what was asked for
_FEW_ROWS = 10  # fewer surplus rows are no reason to warn: in a small file one row is a large share


def split_rows(
    units: Sequence[Hashable],
    strata: Sequence[Hashable],
    origins: Sequence[Origin],
    share: float,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Positions for training and for validation, both in source order.

    Rows of one unit stay together; a unit of None is the row alone. Each stratum (that of a unit's first row)
    gives `share` of its units, rounded, and at least one to either side. Depends on the order of the rows,
    their units and strata, and the seed only. Raises DataError when a stratum has one unit.
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
        wanted = min(max(1, round(share * len(candidates))), len(candidates) - 1)
        chosen = random.permutation(len(candidates))[:wanted]
        validation += [position for number in chosen for position in candidates[number]]
    held_out = set(validation)
    return [i for i in range(len(strata)) if i not in held_out], sorted(validation)


def larger_than_asked(
    num_rows: int, num_held_out: int, share: float, strata: Sequence[Hashable]
) -> str | None:
    """A warning with reason and remedy where many more training rows were held out than `share` asks for."""
    asked = max(1, round(share * num_rows))
    if num_held_out <= _MUCH_MORE * asked or num_held_out - asked < _FEW_ROWS:
        return None
    num_labels = len(set(strata) - {None})
    if num_labels > asked:
        why = f"{num_labels:,} labels each need at least one validation row"
        remedy = "Give a file as data.validation, or merge rare labels"
    else:
        why = "rows that belong together stay on one side"
        remedy = "Give a file as data.validation, or choose another train.seed"
    return (
        f"data.validation_fraction={share:g} asks for {asked:,} of {num_rows:,} rows, but {why}: validation "
        f"has {num_held_out:,} ({num_held_out / num_rows:.1%}). {remedy}"
    )


def _too_few(stratum: Hashable, origin: Origin) -> str:
    if stratum is None:
        return (
            f"{origin}: all that there is to train on is one piece, whether one row or rows that belong "
            "together, so nothing can be held out. Add rows, or give a file as data.validation"
        )
    return (
        f'{origin}: "{stratum}" is the label of this row alone, so it cannot be both trained and validated. '
        "Add texts with that label, remove the row, or give a file as data.validation"
    )
