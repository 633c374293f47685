"""Reads plain text as documents separated by blank lines.

Used only with data.reader=documents, because a .txt file may also be a table.
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
    """Stream the documents of a text file, in the column "text". The line of a row is its first line.

    Raises DataError for a document that is too long.
    """
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
                    f"{path}, line {first}: the document that starts here takes more than"
                    f" {LONGEST_LINE // MEBIBYTE} MiB of memory. Expected blank lines between documents. Add"
                    " them, or set data.reader=delimited data.text=0 for one text per line"
                )
        elif lines:
            yield Row({"text": "\n".join(lines)}, Origin(str(path), first))
            lines = []
    if lines:
        yield Row({"text": "\n".join(lines)}, Origin(str(path), first))
