"""Owns reading plain text, one document to a block of lines, with blank lines between.

Never chosen by a file's ending, since .txt may be a table as well: data.reader=documents.
"""

from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.byte_streams import LINE_COST, LONGEST_LINE, MEBIBYTE
from bertune.data.encodings import text_lines
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES: tuple[str, ...] = ()


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """The documents of a text file, streamed, in a column "text"; a row's line is its first."""
    lines: list[str] = []
    first, size = 0, 0
    for number, raw in enumerate(text_lines(path, options.encoding), start=1):
        line = raw.rstrip("\r\n")
        if line.strip():
            first, size = (first, size) if lines else (number, 0)
            size += len(line) + LINE_COST
            lines.append(line)
            if size > LONGEST_LINE:
                raise DataError(
                    f"{path}, line {first}: the document that begins here takes more than"
                    f" {LONGEST_LINE // MEBIBYTE} MiB of memory. Expected blank lines between documents. Add"
                    " them, or set data.reader=delimited data.text=0 for a text on each line"
                )
        elif lines:
            yield Row({"text": "\n".join(lines)}, Origin(str(path), first))
            lines = []
    if lines:
        yield Row({"text": "\n".join(lines)}, Origin(str(path), first))
