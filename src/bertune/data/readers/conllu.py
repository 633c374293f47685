"""Reads CoNLL-U, the format of Universal Dependencies: words and parts of speech (Nivre et al. 2020)."""

import re
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.readers._cells import refuse_long_sentence
from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".conllu",)

_COLUMNS = 10  # ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC
_WORD = re.compile(r"\d+")
_OTHER = re.compile(r"\d+[-.]\d+")  # 3-4: a multiword token; 5.1: an empty node
_ID = re.compile(r"#\s*sent_id\s*=\s*(.+)")


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the sentences of a file: id, tokens (syntactic words), tags (UPOS).

    The line of a row is the line of its first word. A sentence without parts of speech has no tags. Raises
    DataError for a line that is not a word with ten columns.
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
                f"{path}, line {number}: expected ten columns separated by tabs, starting with the word "
                f"number and the word, found {shortened(line)}. Correct the line, or set the actual format, "
                "as in data.reader=conll"
            )
        if _WORD.fullmatch(cells[0]):
            first = first if words else number
            words.append(cells[1])
            tags.append(cells[3])
            refuse_long_sentence(path, first, len(words))
    if words:
        yield _row(path, first, name, words, tags)


def _row(path: Path, line: int, name: str, words: list[str], tags: list[str]) -> Row:
    values = {"id": name or str(line), "tokens": words, "tags": None if set(tags) == {"_"} else tags}
    return Row(values, Origin(str(path), line))
