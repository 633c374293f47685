"""The exact definition of a near duplicate, by which every candidate pair is verified."""

from itertools import pairwise

from bertune.audit.words import WordColumn

# Below this number of words, one edited word usually makes another text: "a good film", "a bad film".
LEAST_WORDS = 6
# Jaccard similarity of the pairs of neighbouring words. Each edited word changes two of them, so that texts
# of which about 7% of the words were edited are still near duplicates.
LEAST_JACCARD = 0.75
# In scripts without spaces between words, an edited word has up to this number of characters, each of which
# counts as a word: two edited characters make a near duplicate of a text of 12.
MOST_CHARACTERS = 2


def is_near(column: WordColumn, one: int, other: int) -> bool:
    """Whether two distinct texts of a column are near duplicates.

    They are if they become equal by removing one word from each, or from one of them, and have at least
    `LEAST_WORDS` words (one word was replaced, inserted, deleted or moved), or if the Jaccard similarity of
    their pairs of neighbouring words is at least `LEAST_JACCARD`.
    """
    a, b = column.of(one), column.of(other)
    if len(a) > len(b):
        a, b = b, a
    if len(b) < LEAST_WORDS:
        return False
    return _has_one_edit(column, a, b) or jaccard(a, b) >= LEAST_JACCARD


def jaccard(a: list[int], b: list[int]) -> float:
    """The Jaccard similarity of the sets of pairs of neighbouring words; 0 for texts of one word."""
    first, second = set(pairwise(a)), set(pairwise(b))
    shared = len(first & second)
    return shared / max(1, len(first) + len(second) - shared)


def _has_one_edit(column: WordColumn, a: list[int], b: list[int]) -> bool:
    """Whether `b`, which is not shorter than `a`, differs from it by one edited word."""
    if len(b) - len(a) > MOST_CHARACTERS:
        return False
    begin = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    most = len(a) - begin
    shared = 0
    while shared < most and a[-1 - shared] == b[-1 - shared]:
        shared += 1
    first, second = a[begin : len(a) - shared], b[begin : len(b) - shared]
    if len(second) <= 1 or first[1:] == second[:-1] or first[:-1] == second[1:]:
        return True
    if len(second) > MOST_CHARACTERS or len(second) * LEAST_WORDS > len(b):
        return False
    return all(column.single[word] for word in (*first, *second))
