"""Reads fastText's training files: labels with the prefix __label__, and the text after them."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.rows import Origin, Row

SUFFIXES = (".txt", ".ft", ".fasttext")

_HEAD = 200  # lines of a .txt file that are read to recognize the format
_LABEL = "__label__"
_LABELS = re.compile(rf"\s*(?:{_LABEL}\S+(?:\s+|$))+")
# Each run of spaces is tried once, from its beginning; otherwise, long ones would take quadratic time.
_AT_END = re.compile(rf"(?:(?<!\s)\s+{_LABEL}\S+)+\s*$")


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether every line at the beginning of a file has a label, unless the settings describe a table."""
    names = (*(options.text or ()), options.label or "")
    if options.delimiter != "auto" or any(name.isdecimal() for name in names):
        return False
    head = [line for line in islice(text_lines(path, options.encoding), _HEAD) if line.strip()]
    return bool(head) and all(_LABELS.match(line) or _AT_END.search(line) for line in head)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Stream the rows of a file: the label, or a list of several labels, and the text.

    A line without a label has None instead; blank lines are skipped. Labels are before or after the text.
    """
    for number, line in enumerate(text_lines(path, options.encoding), start=1):
        if not line.strip():
            continue
        at_start, at_end = _LABELS.match(line), _AT_END.search(line)
        start = at_start.end() if at_start else 0
        end = at_end.start() if at_end and not at_start else len(line)
        found = [word.removeprefix(_LABEL) for word in (line[:start] + line[end:]).split()]
        label = found[0] if len(found) == 1 else found or None
        yield Row({"label": label, "text": line[start:end].strip()}, Origin(str(path), number))
