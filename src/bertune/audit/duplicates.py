"""Find rows that repeat an earlier row or a row of another split, exactly or nearly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertune.audit.neighbours import DEFAULT, Pairs, Rows, Search, can_search_long_texts, near_pairs
from bertune.audit.words import Ints, WordColumn, read_words

Texts = tuple[str, ...]
NONE = -1


@dataclass(frozen=True)
class Repeats:
    """For each row of one split, the first row of another split (or an earlier row of the same) it repeats.

    Rows are counted from 0 within their split; -1 if there is none. A row with an exact repeat has no near
    one.
    """

    exact: Ints
    near: Ints
    alike: Ints  # the row from which it differs only in case, punctuation and whitespace; part of `near`

    @property
    def num_exact(self) -> int:
        """The number of rows that repeat a row exactly."""
        return int((self.exact != NONE).sum())

    @property
    def num_near(self) -> int:
        """The number of rows with a near duplicate but no exact duplicate."""
        return int((self.near != NONE).sum())


@dataclass(frozen=True)
class Duplicates:
    """Exact and near duplicates within and across splits. N rows of all splits, U distinct rows.

    Two rows are one distinct row if they differ only in case, punctuation and whitespace.
    """

    bounds: Mapping[str, tuple[int, int]]  # the first and the last row + 1 of each split
    same_text: Ints  # [N] equal for rows with identical texts
    distinct: Ints  # [N] the distinct row of each row
    pairs: Pairs  # [P, 2] pairs of distinct rows that are near duplicates
    columns: tuple[WordColumn, ...]
    texts: NDArray[np.int64]  # [U, columns] the text of each distinct row in each column
    unsearched: int  # distinct texts too long to be searched without rensa

    def repeats(self, split: str, of: str) -> Repeats:
        """The rows of `of` that the rows of `split` repeat; within one split, earlier rows."""
        rows = np.arange(*self.bounds[split])
        start = self.bounds[of][0]
        earlier = rows if split == of else np.full(len(rows), np.iinfo(np.int64).max)
        first_text = _first(self.same_text, self.bounds[of], int(self.same_text.max()) + 1)
        first_distinct = _first(self.distinct, self.bounds[of], len(self.texts))
        nearest = first_distinct.copy()
        one, other = self.pairs[:, 0], self.pairs[:, 1]
        np.minimum.at(nearest, one, first_distinct[other])
        np.minimum.at(nearest, other, first_distinct[one])
        exact, near = first_text[self.same_text[rows]], nearest[self.distinct[rows]]
        alike = first_distinct[self.distinct[rows]]
        is_exact = (exact < earlier) & (exact < _LATE)
        is_near = ~is_exact & (near < earlier) & (near < _LATE)
        is_alike = ~is_exact & (alike < earlier) & (alike < _LATE)
        return Repeats(
            np.where(is_exact, exact - start, NONE),
            np.where(is_near, near - start, NONE),
            np.where(is_alike, alike - start, NONE),
        )


_LATE = np.iinfo(np.int64).max


def find_duplicates(
    splits: Mapping[str, Sequence[Texts]], near: bool = True, search: Search = DEFAULT
) -> Duplicates:
    """Compare all rows of all splits. Rows with fewer texts than others are padded with empty texts.

    With `near=False`, texts that differ only in case, punctuation and whitespace are found, but no others.
    """
    rows = [texts for split in splits.values() for texts in split]
    bounds, start = {}, 0
    for name, split in splits.items():
        bounds[name] = (start, start + len(split))
        start += len(split)
    known: dict[Texts, int] = {}
    same_text = np.array([known.setdefault(texts, len(known)) for texts in rows], np.int64)
    num_columns = max((len(texts) for texts in known), default=0)
    read = [
        read_words(texts[number] if number < len(texts) else "" for texts in known)
        for number in range(num_columns)
    ]
    columns = tuple(column for column, _ in read)
    of_text = np.stack([numbers for _, numbers in read], 1) if read else np.zeros((0, 0), np.int64)
    texts, distinct = _numbered(of_text)
    of_row = distinct[same_text]
    occurs = np.zeros((len(texts), len(bounds)), bool)
    for number, (begin, end) in enumerate(bounds.values()):
        occurs[of_row[begin:end], number] = True
    pairs = (
        near_pairs(Rows(columns, texts, occurs), search)
        if near and len(texts)
        else np.zeros((0, 2), np.int64)
    )
    unsearched = 0
    if not can_search_long_texts():
        unsearched = sum(int((column.lengths > search.most_short).sum()) for column in columns)
    return Duplicates(bounds, same_text, of_row, pairs, columns, texts, unsearched)


def _numbered(texts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ints]:
    """The distinct rows of an array in the order of their first occurrence, and the number of each row."""
    if not len(texts):
        return texts, np.zeros(0, np.int64)
    _, first, inverse = np.unique(texts, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return texts[np.sort(first)], rank[inverse.reshape(-1)]


def _first(values: Ints, bounds: tuple[int, int], size: int) -> Ints:
    """For each value from 0 to `size`, its first position within the bounds; a very large one if none."""
    first = np.full(size, _LATE, np.int64)
    positions = np.arange(*bounds)
    np.minimum.at(first, values[positions], positions)
    return first
