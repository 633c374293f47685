"""Hashes under which texts with similar words collide: deletion neighbourhoods and MinHash bands.

Everything is computed for many texts at once, in arithmetic modulo 2**64. N texts of L words.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bertune.audit.words import Hashes, Ints, WordColumn

# MinHash (Broder 1997) with 25 bands of 5 values: two texts whose shingles have a Jaccard similarity of 0.75
# share a band with probability 0.999, and two of 0.2 with probability 0.008.
NUM_BANDS, BAND = 25, 5
_SEED = 1
_CHUNK = 1_000_000  # words hashed at once
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_FACTOR, -1, 2**64)


def mixed(values: Hashes) -> Hashes:
    """A bijection whose output bits all depend on all input bits (splitmix64, Steele et al. 2014)."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chunks(lengths: Ints) -> Iterator[slice]:
    """Consecutive ranges of texts with about `_CHUNK` words each."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        words_before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, words_before + _CHUNK, side="right")))
        yield slice(start, stop)
        start = stop


def flattened(column: WordColumn, texts: Ints) -> tuple[NDArray[np.uint32], Ints, Ints]:
    """The words of some texts one after the other, the position of each in its text, and their lengths."""
    lengths = column.lengths[texts]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return column.words[np.repeat(column.starts[texts], lengths) + within], within, lengths


def deletion_hashes(column: WordColumn, texts: Ints, window: int) -> tuple[Hashes, Ints]:
    """For each position of each text, the hash of the text without the `window` words from there.

    Includes the hash of the whole text. Two texts share a hash if they differ by one window of words that is
    replaced, inserted or deleted (the symmetric deletion neighbourhood of SymSpell, Garbe 2012). Returns the
    hashes and the index in `texts` of each.
    """
    words, within, lengths = flattened(column, texts)
    power = _powers(int(lengths.max(initial=0)) + 1, _FACTOR)
    inverse = _powers(int(lengths.max(initial=0)) + 1, _INVERSE)
    terms = mixed(words.astype(np.uint64)) * inverse[within]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    owners = np.repeat(np.arange(len(texts)), lengths)
    begins = np.cumsum(lengths) - lengths
    before_all, total = sums[begins], sums[begins + lengths] - sums[begins]
    is_start = within + window <= lengths[owners]
    at = np.flatnonzero(is_start)
    own = owners[at]
    head = sums[at] - before_all[own]
    tail = total[own] - (sums[at + window] - before_all[own])
    kept = (lengths[own] - window).astype(np.uint64)
    # Both parts are sums of word * factor**-position; the tail moves forward by `window` positions.
    without = mixed((head + tail * power[window]) ^ mixed(kept))
    whole = mixed(total ^ mixed(lengths.astype(np.uint64)))
    return np.concatenate([without, whole]), np.concatenate([own, np.arange(len(texts))])


def shingle_hashes(column: WordColumn, texts: Ints) -> tuple[Hashes, Ints]:
    """The hashes of the pairs of neighbouring words of texts with at least two, and the number of each."""
    words, within, lengths = flattened(column, texts)
    numbers = mixed(words.astype(np.uint64))
    follows = np.flatnonzero(within[1:] > 0) if len(words) else np.zeros(0, np.int64)
    return mixed(numbers[follows] * np.uint64(3) + numbers[follows + 1]), np.maximum(lengths - 1, 0)


def band_hashes(column: WordColumn, texts: Ints) -> Hashes:
    """The MinHash bands [N, NUM_BANDS] of texts with at least two words. Needs the package rensa."""
    import rensa

    bands = np.empty((len(texts), NUM_BANDS), np.uint64)
    salts = mixed(np.arange(NUM_BANDS, dtype=np.uint64))
    for part in chunks(column.lengths[texts]):
        shingles, sizes = shingle_hashes(column, texts[part])
        offsets = np.concatenate([np.zeros(1, np.uint64), np.cumsum(sizes, dtype=np.uint64)])
        digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            shingles, offsets, NUM_BANDS * BAND, _SEED
        )
        values = np.array(digests.to_rows(), np.uint64).reshape(len(sizes), NUM_BANDS, BAND)
        hashed = np.broadcast_to(salts, values.shape[:2])
        for column_of_band in range(BAND):
            hashed = mixed(hashed * np.uint64(_FACTOR) + values[:, :, column_of_band])
        bands[part] = hashed
    return bands


def _powers(num: int, factor: int) -> Hashes:
    powers = np.full(num + 2, factor, np.uint64)
    powers[0] = 1
    result: Hashes = np.multiply.accumulate(powers)
    return result
