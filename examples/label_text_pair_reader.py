"""A reader of one's own: CSV without a header, each line `label,text_a,text_b`.

    bertune train train.csv data.reader=examples/label_text_pair_reader.py model.name=minilm

A reader file defines read(path, options), which yields one Row for each record, all with the same columns.
The columns are named as bertune expects them, so neither data.text nor data.label is needed. For this very
format no reader is needed either: data.header=false data.label=0 data.text=1,2 reads it. Copy this file for
a format that bertune cannot read.
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
    """The rows of the file, in order; `options` is the [data] section of the settings."""
    records = csv.reader(text_lines(path, options.encoding))
    line = 1
    for cells in records:
        origin = Origin(str(path), line)
        line = records.line_num + 1  # a quoted cell may go over several lines
        if not cells:
            continue
        if len(cells) != len(COLUMNS):
            raise DataError(f"{origin}: expected label,text_a,text_b, found {len(cells)} cells")
        yield Row(dict(zip(COLUMNS, cells, strict=True)), origin)
