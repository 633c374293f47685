"""Search for near duplicates: candidates by hashing, each verified exactly.

Short texts are found by their deletion neighbourhoods, which find every text that differs by one edited word.
Long texts are found by MinHash. N rows of one or more texts; equal rows have been merged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertune.audit.hashing import NUM_BANDS, band_hashes, chunks, deletion_hashes, mixed
from bertune.audit.similarity import LEAST_WORDS, MOST_CHARACTERS, is_near
from bertune.audit.words import Hashes, Ints, WordColumn
from bertune.optional_packages import is_installed

_PARTITION = 16_000_000  # hashes held and sorted at once
_PREDECESSORS = 4  # rows of a bucket that a row is compared with, besides the first of each split

Pairs = NDArray[np.int64]  # [P, 2]


@dataclass(frozen=True)
class Search:
    """The texts that each hash finds, by their number of words."""

    most_short: int = 64  # longer texts have no deletion neighbourhood, of one hash a word
    least_minhash: int = 20  # in shorter texts, one edited word lowers the Jaccard similarity below 0.75


DEFAULT = Search()


@dataclass(frozen=True)
class Rows:
    """Distinct rows by the numbers of their texts in each column."""

    columns: Sequence[WordColumn]
    texts: NDArray[np.int64]  # [N, columns]
    splits: NDArray[np.bool_]  # [N, splits] the splits in which a row occurs


def can_search_long_texts() -> bool:
    """Whether the package for MinHash is installed; without it, only short texts are searched."""
    return is_installed("rensa")


def near_pairs(rows: Rows, search: Search = DEFAULT) -> Pairs:
    """Pairs of near-duplicate rows, the smaller number first.

    If many rows are near duplicates of each other, each is paired with the first of every split and a few
    others, not with all, so that the number of pairs grows linearly. The texts of near-duplicate rows are
    equal or near duplicates in every column.
    """
    salts = [np.zeros(len(rows.texts), np.uint64)]
    if len(rows.columns) > 1:
        groups = [
            _grouped(column, rows.texts[:, number], search) for number, column in enumerate(rows.columns)
        ]
        salts = [_combined([g for other, g in enumerate(groups) if other != at]) for at in range(len(groups))]
    num = len(rows.texts)
    examined = found = np.zeros(0, np.int64)  # pairs as one number each
    for number in range(len(rows.columns)):
        column, texts = rows.columns[number], rows.texts[:, number]
        for hashes, owners in _partitions(column, texts, salts[number], search):
            candidates = _candidates(hashes, owners, rows.splits)
            new = np.setdiff1d(candidates[:, 0] * num + candidates[:, 1], examined, assume_unique=True)
            examined = np.union1d(examined, new)
            kept = _are_near(rows, np.stack([new // num, new % num], 1))
            found = np.concatenate([found, new[kept]])
    found = np.sort(found)
    return np.stack([found // num, found % num], 1)


def _grouped(column: WordColumn, texts: Ints, search: Search) -> Ints:
    """For each row, a number that is equal for texts connected by near-duplicate pairs in this column."""
    num = len(column.lengths)
    every = Rows([column], np.arange(num)[:, None], np.ones((num, 1), bool))
    parent = list(range(num))

    def root(of: int) -> int:
        while parent[of] != of:
            parent[of] = parent[parent[of]]
            of = parent[of]
        return of

    for first, second in near_pairs(every, search).tolist():
        a, b = root(first), root(second)
        parent[max(a, b)] = min(a, b)
    roots = np.array([root(number) for number in range(num)], np.int64)
    return roots[texts]


def _combined(groups: Sequence[Ints]) -> Hashes:
    combined = np.zeros(len(groups[0]), np.uint64)
    for group in groups:
        combined = mixed(combined * np.uint64(3) + mixed(group.astype(np.uint64)))
    return combined


def _partitions(
    column: WordColumn, texts: Ints, salts: Hashes, search: Search
) -> Iterator[tuple[Hashes, Ints]]:
    """The hashes of one column and their rows, in parts; equal hashes are always in the same part."""
    lengths = column.lengths[texts]
    short = np.flatnonzero((lengths >= LEAST_WORDS - 1) & (lengths <= search.most_short))
    windows = range(1, (MOST_CHARACTERS if column.single.any() else 1) + 1)
    num_hashes = int((lengths[short] + 1).sum()) * len(windows)
    num_parts = -(-num_hashes // _PARTITION)
    for part in range(num_parts):
        hashes, owners = [], []
        for piece in chunks(lengths[short]):
            some = short[piece]
            for window in windows:
                own_hashes, own = deletion_hashes(column, texts[some], window)
                own_hashes = mixed(own_hashes ^ salts[some][own])
                kept = own_hashes % np.uint64(num_parts) == part
                hashes.append(own_hashes[kept])
                owners.append(some[own[kept]])
        yield np.concatenate(hashes), np.concatenate(owners)
    long = np.flatnonzero(lengths > search.least_minhash)
    if len(long) and can_search_long_texts():
        distinct, inverse = np.unique(texts[long], return_inverse=True)
        bands = band_hashes(column, distinct)
        for band in range(NUM_BANDS):
            yield mixed(bands[inverse, band] ^ salts[long]), long


def _candidates(hashes: Hashes, owners: Ints, splits: NDArray[np.bool_]) -> Pairs:
    """Pairs of rows with a common hash: each row with the first of every split, and with a few before it."""
    order = np.argsort(hashes)
    hashes, owners = hashes[order], owners[order]
    is_repeated = np.zeros(len(hashes), bool)
    same = hashes[1:] == hashes[:-1]
    is_repeated[1:] |= same
    is_repeated[:-1] |= same
    hashes, owners = hashes[is_repeated], owners[is_repeated]
    if not len(hashes):
        return np.zeros((0, 2), np.int64)
    order = np.lexsort((owners, hashes))  # only for the few remaining pairs
    hashes, owners = hashes[order], owners[order]
    bucket = np.concatenate([np.zeros(1, np.int64), np.cumsum(hashes[1:] != hashes[:-1])])
    found = []
    for split in range(splits.shape[1]):
        inside = np.flatnonzero(splits[owners, split])
        buckets, first = np.unique(bucket[inside], return_index=True)
        heads = np.full(int(bucket[-1]) + 1, -1, np.int64)
        heads[buckets] = owners[inside[first]]
        known = heads[bucket] >= 0
        found.append(np.stack([heads[bucket][known], owners[known]], 1))
    for distance in range(1, _PREDECESSORS + 1):
        near = np.flatnonzero(bucket[distance:] == bucket[:-distance])
        found.append(np.stack([owners[near], owners[near + distance]], 1))
    pairs = np.sort(np.concatenate(found), axis=1)
    distinct: Pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return distinct


def _are_near(rows: Rows, pairs: Pairs) -> NDArray[np.bool_]:
    """The pairs with equal or near-duplicate texts in every column."""
    are_near = np.ones(len(pairs), bool)
    for number, column in enumerate(rows.columns):
        texts = rows.texts[:, number][pairs]
        at = np.flatnonzero(are_near & (texts[:, 0] != texts[:, 1]))
        if len(at):
            distinct, inverse = np.unique(np.sort(texts[at], axis=1), axis=0, return_inverse=True)
            of_texts = np.array([is_near(column, one, other) for one, other in distinct.tolist()], bool)
            are_near[at] = of_texts[inverse.reshape(-1)]
    return are_near
