"""Owns reading CoNLL-U, the form of Universal Dependencies: words and parts of speech (Nivre et al. 2020)."""

import re
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.readers._cells import refuse_endless
from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".conllu",)

_COLUMNS = 10  # ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC
_WORD = re.compile(r"\d+")
_OTHER = re.compile(r"\d+[-.]\d+")  # 3-4: a token that is several words; 5.1: a word that is not written
_ID = re.compile(r"#\s*sent_id\s*=\s*(.+)")


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The sentences of a file, streamed: id, tokens (syntactic words), tags (UPOS).

    A row's line is that of its first word. Where a file has no parts of speech there are no tags. Raises
    DataError for a line that is no word of ten columns.
    """
    name, first = "", 0
    words: list[str] = []
    tags: list[str] = []
    for number, raw in enumerate(text_lines(path, options.encoding), start=1):
        line = raw.rstrip("\r\n")
        if not line.strip():
            if words:
                yield _row(path, first, name, words, tags)
            name, words, tags = "", [], []
            continue
        if line.startswith("#"):
            found = _ID.match(line)
            name = found[1].strip() if found else name
            continue
        cells = line.split("\t")
        if len(cells) != _COLUMNS or not (_WORD.fullmatch(cells[0]) or _OTHER.fullmatch(cells[0])):
            raise DataError(
                f"{path}, line {number}: expected a word's number, the word and eight more columns with tabs "
                f"between, found {shortened(line)}. Correct the line, or name the file's real format, as in "
                "data.reader=conll"
            )
        if _WORD.fullmatch(cells[0]):
            first = first if words else number
            words.append(cells[1])
            tags.append(cells[3])
            refuse_endless(path, first, len(words))
    if words:
        yield _row(path, first, name, words, tags)


def _row(path: Path, line: int, name: str, words: list[str], tags: list[str]) -> Row:
    values = {"id": name or str(line), "tokens": words, "tags": None if set(tags) == {"_"} else tags}
    return Row(values, Origin(str(path), line))
