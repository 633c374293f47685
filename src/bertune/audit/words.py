"""Words of texts as numbers, after removing differences in case, punctuation and whitespace."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

# Scripts written without spaces, in which each character counts as a word: Thai to Khmer, kana, Han.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
)  # fmt: skip
_APOSTROPHES = "'’ʼ＇"


class _Spacing(dict[int, str]):
    """A table for `str.translate`, filled when a character first occurs.

    Punctuation, separators and control characters become spaces, apostrophes vanish, and characters of
    scripts without spaces are surrounded by spaces. Symbols such as emoji stay, because they carry meaning.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES or "\ufe00" <= character <= "\ufe0f":  # and variation selectors
            found = ""
        elif category[0] in "PZC" or category == "Sk":
            found = " "
        elif is_without_spaces(code):
            found = f" {character} "
        else:
            found = character
        self[code] = found
        return found


_SPACING = _Spacing()


def is_without_spaces(code: int) -> bool:
    """Whether a character belongs to a script that is written without spaces between words."""
    return any(low <= code <= high for low, high in _WITHOUT_SPACES)


def words_of(text: str) -> list[str]:
    """The words of a text without case and punctuation.

    A text without letters, digits and symbols is split at whitespace only, so that ":)" and ":(" differ.
    """
    folded = text.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFKC", folded)
    return folded.translate(_SPACING).split() or text.split()


@dataclass(frozen=True)
class WordColumn:
    """The distinct texts of one column. Texts that differ only in case, punctuation and spaces are one."""

    words: NDArray[np.uint32]  # the word numbers of all texts, one text after the other
    starts: Ints  # where each text begins in `words`, and the end of the last
    names: list[str]  # the word of each number
    single: NDArray[np.bool_]  # by word number: a character of a script without spaces

    @property
    def lengths(self) -> Ints:
        """The number of words of each text."""
        return np.diff(self.starts)

    def of(self, text: int) -> list[int]:
        """The word numbers of a text."""
        numbers: list[int] = self.words[self.starts[text] : self.starts[text + 1]].tolist()
        return numbers


def read_words(texts: Iterable[str]) -> tuple[WordColumn, Ints]:
    """The distinct texts of a column, and the number of the distinct text of each text [N].

    Normalized texts are not kept in memory, only their word numbers (4 bytes per word) and a digest.
    """
    number_of = defaultdict[str, int](count().__next__)
    known: dict[bytes, int] = {}
    seen: dict[str, int] = {}
    positions: list[int] = []
    blocks: list[NDArray[np.uint32]] = []
    lengths: list[int] = [0]
    for text in texts:
        number = seen.get(text)
        if number is None:
            words = words_of(text)
            digest = blake2b("".join(words).encode("utf-8", "surrogatepass"), digest_size=12).digest()
            number = seen[text] = known.setdefault(digest, len(known))
            if number == len(blocks):
                blocks.append(np.array([number_of[word] for word in words], np.uint32))
                lengths.append(len(words))
        positions.append(number)
    names = list(number_of)
    single = np.array([len(name) == 1 and is_without_spaces(ord(name)) for name in names], bool)
    flat = np.concatenate(blocks) if blocks else np.zeros(0, np.uint32)
    column = WordColumn(flat, np.cumsum(np.array(lengths, np.int64)), names, single)
    return column, np.array(positions, np.int64)
