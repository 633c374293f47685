"""Owns the split of one table into training and validation rows."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from bertune.data.rows import Origin
from bertune.errors import DataError


def stratified_split(
    strata: Sequence[Hashable], origins: Sequence[Origin], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Positions for training and for validation, both in source order.

    Each stratum gives `share` of itself, rounded, and at least one row to either side. Depends on the order
    of the rows, the strata and the seed only. Raises DataError when a stratum has one row.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, stratum in enumerate(strata):
        members[stratum].append(position)
    random = np.random.default_rng([seed, len(strata)])
    validation: list[int] = []
    for stratum, positions in members.items():
        if len(positions) < 2:
            raise DataError(
                f'{origins[positions[0]]}: "{stratum}" is the label of this row alone, so it cannot be both '
                "trained and validated. Add texts with that label, remove the row, or "
                "give a file as data.validation"
            )
        wanted = min(max(1, round(share * len(positions))), len(positions) - 1)
        validation += random.permutation(positions)[:wanted].tolist()
    held_out = set(validation)
    return [i for i in range(len(strata)) if i not in held_out], sorted(validation)
