"""Reads CoNLL files: one tagged word per line, blank lines between sentences (Tjong Kim Sang 2002).

Also reads one sentence per line: words separated by spaces, a tab, tags separated by spaces.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.formats import file_suffix
from bertune.data.readers._cells import DELIMITER_NAMES, refuse_long_sentence
from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, counted

SUFFIXES = (".txt", ".tsv", ".conll", ".bio", ".bmes", ".ner", ".iob", ".iob2", ".conll2003")

_DOCUMENT = "-DOCSTART-"
_HEAD = 200  # lines of a .txt file that are read to recognize the format
# A tag with a position prefix or suffix, such as B-PER, PER_B, b-per and BEGIN-PER; or O.
_ROLE = r"(?:[BIESMLU]|BEG|BEGIN|START|INSIDE|CONT|MIDDLE|END|LAST|SINGLE|UNIT)"
_ROLE_TAG = re.compile(rf"O|OUT|OUTSIDE|{_ROLE}([-_:/.]\S+)?|\S+[-_:/.]{_ROLE}", re.IGNORECASE)
_OUTSIDE = ("o", "out", "outside")
_TYPE_TAG = re.compile(r"[^\W\d][\w.:/-]*")  # a type without a position: PER
# Such as "# sent_id = 1", but not "# O", because a number sign can be a word.
_COMMENT = re.compile(r"#\s*\S.*=|#(?:begin|end) document\b")
# The columns of a header line.
_WORD_NAMES = ("word", "words", "token", "tokens", "form", "wort", "字", "词")
_TAG_NAMES = ("tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity", "iob", "bio", "标签")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?:(?=.)")
_ONTONOTES = 11  # least columns of CoNLL-2012: document, part, number, word …


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether the suffix denotes a CoNLL file, or a text file has a tag on every line and blank lines.

    Tags without a position prefix could be any labels, so they count only if O is the most frequent.
    """
    suffix = file_suffix(path)
    if suffix in SUFFIXES and suffix not in (".txt", ".tsv"):
        return True
    if suffix == ".tsv" and (options.text or options.label or options.delimiter != "auto"):
        return False
    num_columns, has_blank = 0, False
    tags: Counter[str] = Counter()
    for line in islice(text_lines(path, options.encoding), _HEAD):
        if not line.strip() or line.startswith(_DOCUMENT):
            has_blank = has_blank or num_columns > 0
            continue
        cells = _cells(line)
        if not num_columns and (_is_header(cells) or line.startswith(("# ", "#\t"))):
            continue
        num_columns = num_columns or len(cells)
        if suffix == ".tsv" and " " in cells[0].strip():
            return False
        if line.startswith("#") and len(cells) != num_columns:
            continue
        if len(cells) != num_columns or num_columns < 2:
            return False
        tags[cells[-1]] += 1
    most, _ = max(tags.items(), key=itemgetter(1), default=("", 0))
    is_outside_usual = most.casefold() in _OUTSIDE and all(map(_TYPE_TAG.fullmatch, tags))
    has_outside = any(tag.casefold() in _OUTSIDE for tag in tags)
    return has_blank and has_outside and (is_outside_usual or all(map(_ROLE_TAG.fullmatch, tags)))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the sentences of a file: tokens from the first column, tags from the last.

    The line of a row is the first line of the sentence. Files with a single column have no tags. Raises
    DataError for a line with a different number of columns than the first.
    """
    if _is_sentence_a_line(path, options):
        yield from _sentence_lines(path, options)
        return
    sign = _sign(path, options)
    (num_columns, prefix), first_line = _layout(path, options, sign), 0
    words: list[list[str]] = []
    for number, line in enumerate(text_lines(path, options.encoding), start=1):
        if not line.strip(" \t\r\n" + sign) or line.startswith(_DOCUMENT):
            if words:
                yield _row(path, first_line, words)
            words = []
            continue
        if not words and _COMMENT.match(line):
            continue
        cells = _cells(line, sign)
        is_comment = line.startswith(("# ", "#\t")) and len(cells) != num_columns
        if not words and (is_comment or (first_line == 0 and _is_header(cells))):
            continue
        cells[0] = cells[0].removeprefix(prefix)
        _refuse_invalid(f"{path}, line {number}", line, cells, num_columns)
        first_line = first_line if words else number
        words.append(cells)
        refuse_long_sentence(path, first_line, len(words))
    if words:
        yield _row(path, first_line, words)


def _refuse_invalid(place: str, line: str, cells: list[str], num_columns: int) -> None:
    """Raises DataError for a line that is not a word with its tag."""
    if len(cells) != num_columns:
        raise DataError(
            f"{place}: expected {counted(num_columns, 'column')} as in the first line, found "
            f"{len(cells)}: {shortened(line)}. Correct the line; blank lines must separate sentences"
        )
    if not cells[0].strip(" ") or not cells[-1].strip():
        what = "word" if not cells[0].strip(" ") else "tag"
        raise DataError(f"{place}: the {what} is missing: {shortened(line)}. Add it, or remove the line")
    if " " in cells[-1].strip(" ") and len(cells) > 1:
        raise DataError(_several_tags(place, cells))


def _sign(path: Path, options: DataConfig) -> str:
    """The delimiter of a CSV file with blank lines between sentences; empty for tabs and spaces."""
    names = {name: sign for sign, name in DELIMITER_NAMES.items() if sign != "\t"}
    if options.delimiter != "auto":
        given = names.get(options.delimiter.casefold(), options.delimiter)
        return given if len(given) == 1 and not given.isspace() else ""
    if file_suffix(path) != ".csv":
        return ""
    first = next((line for line in text_lines(path, options.encoding) if line.strip()), "")
    return next((sign for sign in names.values() if sign in first), "")


def _layout(path: Path, options: DataConfig, sign: str) -> tuple[int, str]:
    """The number of columns, from the first line that does not begin like a comment, and a prefix of words.

    WikiANN was published with words such as en:Rome. The prefix is "" unless all words at the beginning of
    the file have the same one.
    """
    lines = (line for line in text_lines(path, options.encoding) if line.strip(" \t\r\n"))
    num_columns, num_cells, words = 0, 0, []
    for line in islice(lines, _HEAD):
        cells = _cells(line, sign)
        num_cells = num_cells or len(cells)
        if not line.startswith(("#", _DOCUMENT)):
            num_columns = num_columns or len(cells)
            words.append(cells[0])
    language = _LANGUAGE.match(words[0]) if len(words) > 2 else None
    prefix = language[0] if language and all(word.startswith(language[0]) for word in words) else ""
    return num_columns or num_cells, prefix


def _is_header(cells: list[str]) -> bool:
    return cells[0].strip().casefold() in _WORD_NAMES and cells[-1].strip().casefold() in _TAG_NAMES


def _row(path: Path, line: int, words: list[list[str]]) -> Row:
    firsts = [cells[0] for cells in words]
    is_counted = any(firsts == [str(i + start) for i in range(len(words))] for start in (0, 1))
    if len(words) > 2 and len(words[0]) > 1 and is_counted:
        raise DataError(
            f"{path}, line {line}: the first column holds word numbers, expected the words of the sentence. "
            "Remove the column, for example with cut -f2-"
        )
    if len(words[0]) >= _ONTONOTES and len(words) > 2 and len(set(firsts)) == 1:
        raise DataError(
            f'{path}, line {line}: the first column is "{firsts[0][:40]}" in every line of the sentence, as '
            "in CoNLL-2012, expected the words. Remove all columns except those of the words and the tags"
        )
    values = {"tokens": firsts}
    if len(words[0]) > 1:
        values["tags"] = [cells[-1] for cells in words]
    return Row(values, Origin(str(path), line))


def _several_tags(place: str, cells: list[str]) -> str:
    num_words, num_tags = len(_split(cells[0])), len(_split(cells[-1]))
    return (
        f"{place}: {counted(num_words, 'word')} with {counted(num_tags, 'tag')}, {shortened(cells[-1])}. "
        "Expected one word and its tag per line, or one sentence per line with one tag for each word. "
        "Correct the line"
    )


def _cells(line: str, sign: str = "") -> list[str]:
    plain = line.rstrip("\r\n")
    if sign:
        return next(csv.reader([plain], delimiter=sign), [""])
    return plain.split("\t") if "\t" in plain else re.split(" +", plain.rstrip(" "))


def _split(half: str) -> list[str]:
    """Split at spaces only: wide and no-break spaces are words, not separators."""
    return [part for part in half.split(" ") if part]


def _is_sentence_a_line(path: Path, options: DataConfig) -> bool:
    """Whether the first line has at least two words before a tab, and as many tags after it."""
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
                f"{path}, line {number}: expected words, a tab and tags as in the first line, found "
                f"{counted(len(halves), 'cell')}: {shortened(line)}. Correct the line"
            )
        yield Row({"tokens": _split(halves[0]), "tags": _split(halves[1])}, Origin(str(path), number))
