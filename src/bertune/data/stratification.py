"""Iterative stratification, for rows with several labels and for groups of rows with different labels.

Sechidis, Tsoumakas and Vlahavas (2011), On the Stratification of Multi-Label Data, algorithm 1. A unit is a
row or a group of rows, which counts as many times for a label as its rows have the label.

Dimensions: U units, S splits.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def stratified_iteratively(
    sizes: Sequence[int],
    labels: Sequence[Sequence[str]],
    shares: Sequence[float],
    random: np.random.Generator,
) -> list[int]:
    """The split [U] of each unit, so that every split has its share of the rows of every label.

    Args:
        sizes: [U] the number of rows of each unit.
        labels: [U] the labels of the rows of each unit, each as often as it occurs.
        shares: [S] the share of each split, with a sum of 1. Ties are in favour of the last split.
        random: determines the order of the units and the remaining ties.
    """
    return _Distribution(sizes, labels, shares, random).splits()


class _Distribution:
    """Units that are distributed one by one, and what each split still needs."""

    def __init__(
        self,
        sizes: Sequence[int],
        labels: Sequence[Sequence[str]],
        shares: Sequence[float],
        random: np.random.Generator,
    ) -> None:
        self._sizes = sizes
        self._counts = [Counter(of_unit) for of_unit in labels]
        self._random = random
        # Larger units first, because small ones can fill the gaps; units of equal size in random order.
        self._order = sorted(random.permutation(len(sizes)).tolist(), key=lambda unit: -sizes[unit])
        self._having: dict[str, list[int]] = defaultdict(list)
        totals: Counter[str] = Counter()
        for unit in self._order:
            totals.update(self._counts[unit])
            for label in self._counts[unit]:
                self._having[label].append(unit)
        self._wanted_rows = [share * sum(sizes) for share in shares]
        self._wanted = {label: [share * total for share in shares] for label, total in totals.items()}
        self._num_left = {label: len(units) for label, units in self._having.items()}
        # The rarest label is distributed first, because its units leave the least choice.
        self._number = {label: position for position, label in enumerate(self._having)}
        self._rarest = [(count, self._number[label], label) for label, count in self._num_left.items()]
        heapq.heapify(self._rarest)
        self._chosen = [-1] * len(sizes)

    def splits(self) -> list[int]:
        """The split of each unit."""
        while self._rarest:
            count, _, label = heapq.heappop(self._rarest)
            if count == self._num_left[label]:  # otherwise the label has fewer units left by now
                for unit in self._having[label]:
                    self._assign(unit, self._wanted[label])
        for unit in self._order:
            self._assign(unit, self._wanted_rows)
        return self._chosen

    def _assign(self, unit: int, wanted: Sequence[float]) -> None:
        """Assign a unit, unless it is already, to the split that needs it most."""
        if self._chosen[unit] >= 0:
            return
        last = len(wanted) - 1
        drawn = self._random.random(len(wanted))
        # Rounded, so that differences by rounding errors count as ties.
        split = max(
            range(len(wanted)),
            key=lambda s: (round(wanted[s], 9), round(self._wanted_rows[s], 9), s == last, drawn[s]),
        )
        self._chosen[unit] = split
        self._wanted_rows[split] -= self._sizes[unit]
        for label, count in self._counts[unit].items():
            self._wanted[label][split] -= count
            self._num_left[label] -= 1
            if self._num_left[label]:
                heapq.heappush(self._rarest, (self._num_left[label], self._number[label], label))
