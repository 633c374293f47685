"""A custom reader: CSV without a header, each line `label,text_a,text_b`.

    bertune train train.csv data.reader=examples/label_text_pair_reader.py model.name=minilm

A reader file defines read(path, options), which yields one Row per record, all with the same columns. The
columns have names that bertune recognizes, so data.text and data.label can be omitted. This particular format
can also be read without a custom reader, with data.header=false data.label=0 data.text=1,2. Copy this file as
a starting point for a format that bertune does not support.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import text_lines
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

COLUMNS = ("label", "text_a", "text_b")


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """Yields the rows of the file in order. `options` is the [data] section of the settings.

    Raises DataError for a line with a different number of cells.
    """
    records = csv.reader(text_lines(path, options.encoding))
    line = 1
    for cells in records:
        origin = Origin(str(path), line)
        line = records.line_num + 1  # a quoted cell may span several lines
        if not cells:
            continue
        if len(cells) != len(COLUMNS):
            raise DataError(
                f"{origin}: expected 3 cells (label,text_a,text_b), found {len(cells)}. Quote cells that "
                "contain commas"
            )
        yield Row(dict(zip(COLUMNS, cells, strict=True)), origin)
