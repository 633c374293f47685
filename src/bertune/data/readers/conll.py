"""Owns reading tagged words in columns, a word a line, blank lines between sentences (Tjong Kim Sang 2002).

Also a sentence a line: its words, a tab, its tags, each with spaces between.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import is_gzip, text_lines
from bertune.data.readers._cells import refuse_endless
from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".txt", ".conll", ".bio", ".bmes", ".ner", ".iob", ".iob2", ".conll2003")

_DOCUMENT = "-DOCSTART-"
_HEAD = 200  # lines within which a .txt file shows that it is one
# A tag with a letter for its role: B-PER, PER_B, b-per; or O.
_ROLE_TAG = re.compile(r"O|[BIESMLU]([-_:/.]\S+)?|\S+[-_:/.][BIESMLU]", re.IGNORECASE)
_TYPE_TAG = re.compile(r"[^\W\d][\w.:/-]*")  # a type alone: PER
# As in "# sent_id = 1", never "# O": a number sign can be a word.
_COMMENT = re.compile(r"#\s*\S.*=")


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a file is one by its ending, or, as .txt, has a tag on every line and blank lines between.

    Tags without a letter for their role could be any labels, unless O is the most frequent.
    """
    name = Path(path.stem if is_gzip(path) else path.name)
    suffix = name.suffix.casefold()
    if suffix in SUFFIXES and suffix != ".txt":
        return True
    num_columns, has_blank = 0, False
    tags: Counter[str] = Counter()
    for line in islice(text_lines(path, options.encoding), _HEAD):
        if not line.strip() or line.startswith(_DOCUMENT):
            has_blank = has_blank or num_columns > 0
            continue
        cells = _cells(line)
        num_columns = num_columns or len(cells)
        if len(cells) != num_columns or num_columns < 2:
            return False
        tags[cells[-1]] += 1
    most, _ = max(tags.items(), key=itemgetter(1), default=("", 0))
    is_outside_usual = most in ("O", "o") and all(map(_TYPE_TAG.fullmatch, tags))
    has_outside = "O" in tags or "o" in tags
    return has_blank and has_outside and (is_outside_usual or all(map(_ROLE_TAG.fullmatch, tags)))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The sentences of a file, streamed: tokens from the first column, tags from the last.

    A row's line is the first of its sentence. Without a second column there are no tags. Raises DataError for
    a line with another number of columns than the first.
    """
    if _is_sentence_a_line(path, options):
        yield from _sentence_lines(path, options)
        return
    num_columns, first_line = 0, 0
    words: list[list[str]] = []
    for number, line in enumerate(text_lines(path, options.encoding), start=1):
        if not line.strip(" \t\r\n") or line.startswith(_DOCUMENT):
            if words:
                yield _row(path, first_line, words)
            words = []
            continue
        if not words and _COMMENT.match(line):
            continue
        cells = _cells(line)
        num_columns = num_columns or len(cells)
        place = f"{path}, line {number}"
        if len(cells) != num_columns:
            raise DataError(
                f"{place}: expected {_columns(num_columns)} as in the first line, found {len(cells)}: "
                f"{shortened(line)}. Correct the line; sentences need a blank line between them"
            )
        if not cells[0].strip(" ") or not cells[-1].strip():
            what = "word" if not cells[0].strip(" ") else "tag"
            raise DataError(f"{place}: the {what} is missing: {shortened(line)}. Write it or drop the line")
        if " " in cells[-1].strip(" ") and len(cells) > 1:
            raise DataError(_several_tags(place, cells))
        first_line = first_line if words else number
        words.append(cells)
        refuse_endless(path, first_line, len(words))
    if words:
        yield _row(path, first_line, words)


def _row(path: Path, line: int, words: list[list[str]]) -> Row:
    firsts = [cells[0] for cells in words]
    is_counted = any(firsts == [str(i + start) for i in range(len(words))] for start in (0, 1))
    if len(words) > 2 and len(words[0]) > 1 and is_counted:
        raise DataError(
            f"{path}, line {line}: the first column numbers the words of the sentence, and must hold them. "
            "Take the numbers out, for instance with cut -f2-"
        )
    values = {"tokens": firsts}
    if len(words[0]) > 1:
        values["tags"] = [cells[-1] for cells in words]
    return Row(values, Origin(str(path), line))


def _several_tags(place: str, cells: list[str]) -> str:
    num_words, num_tags = len(_split(cells[0])), len(_split(cells[-1]))
    return (
        f"{place}: {num_words} words with {num_tags} tags, {shortened(cells[-1])}; write a word and its tag "
        "a line, or, with a sentence a line, a tag for each of its words from the first line on"
    )


def _cells(line: str) -> list[str]:
    plain = line.rstrip("\r\n")
    return plain.split("\t") if "\t" in plain else re.split(" +", plain.rstrip(" "))


def _split(half: str) -> list[str]:
    """Parts between spaces; wide and no-break spaces are words, not separators."""
    return [part for part in half.split(" ") if part]


def _is_sentence_a_line(path: Path, options: DataConfig) -> bool:
    """Whether the first line has as many tags as words around a tab, and more than one."""
    lines = (line for line in text_lines(path, options.encoding) if line.strip())
    for line in islice(lines, 1):
        halves = line.rstrip("\r\n").split("\t")
        words, tags = _split(halves[0]), _split(halves[-1])
        return len(halves) == 2 and len(words) == len(tags) > 1
    return False


def _sentence_lines(path: Path, options: DataConfig) -> Iterator[Row]:
    for number, line in enumerate(text_lines(path, options.encoding), start=1):
        if not line.strip():
            continue
        halves = line.rstrip("\r\n").split("\t")
        if len(halves) != 2:
            raise DataError(
                f"{path}, line {number}: expected words, a tab and their tags as in the first line, found "
                f"{len(halves)} cells: {shortened(line)}. Correct the line"
            )
        yield Row({"tokens": _split(halves[0]), "tags": _split(halves[1])}, Origin(str(path), number))


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
