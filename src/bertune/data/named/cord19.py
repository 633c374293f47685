"""CORD-19 relevance: pairs of a query and a title with TREC-COVID judgments, as published by Vespa."""

import csv
from collections import Counter
from pathlib import Path

from bertune.data.named._dataset import Dataset, Download, File, Sample, opened_csv, other_columns

_NAME = "cord19-query-title-label.csv"
_COLUMNS = ["query", "title", "label"]
_MORE_THAN = 50_000  # rows, according to the tutorial; the exact number is not published
_QUERIES = 50


def _is_whole(path: Path) -> str | None:
    with opened_csv(path) as file:
        records = csv.reader(file)
        if (header := next(records, [])) != _COLUMNS:
            return other_columns(header, _COLUMNS)
        rows_of = Counter(record[0] for record in records if record)
    if rows_of.total() <= _MORE_THAN:
        return f"the file has {rows_of.total()} rows, expected more than {_MORE_THAN}"
    return None if len(rows_of) == _QUERIES else f"the file has {len(rows_of)} queries, expected {_QUERIES}"


DATASET = Dataset(
    settings={
        "data": {
            "text": ["query", "title"],
            "label": "label",
            "header": True,
            "quoting": True,
            "delimiter": ",",
            "validation_fraction": 0.2,
        },
    },
    files=(
        File(
            "train",
            _NAME,
            _is_whole,
            sample=Sample(
                "cord19-query-title-label.sample165.csv",
                "this is a sample of 165 rows with 2 positives that shows the format. The data set has more"
                " than 50,000 rows, so scores on the sample are meaningless. To train on the full data set,"
                f" put {_NAME} in the same folder, or unset BERTUNE_DATA to download it.",
            ),
        ),
    ),
    sources=(
        Download(f"https://thigm85.github.io/data/cord19/{_NAME}", _NAME, sha256=None, at_most=64 << 20),
    ),
)
