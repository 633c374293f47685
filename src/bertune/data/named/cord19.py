"""Owns CORD-19 relevance: query and title pairs with TREC-COVID judgments, as Vespa published them."""

import csv
from collections import Counter
from pathlib import Path

from bertune.data.named._dataset import Dataset, Download, File, Sample, opened_csv, other_columns

_NAME = "cord19-query-title-label.csv"
_COLUMNS = ["query", "title", "label"]
_MORE_THAN = 50_000  # the number of rows as the tutorial tells it; no exact one is published
_QUERIES = 50


def _is_whole(path: Path) -> str | None:
    with opened_csv(path) as file:
        records = csv.reader(file)
        if (header := next(records, [])) != _COLUMNS:
            return other_columns(header, _COLUMNS)
        rows_of = Counter(record[0] for record in records if record)
    if rows_of.total() <= _MORE_THAN:
        return f"it has {rows_of.total()} rows, the published file has more than {_MORE_THAN}"
    return None if len(rows_of) == _QUERIES else f"it has {len(rows_of)} queries, not {_QUERIES}"


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
                "this is a sample of 165 rows with 2 positives that shows the format, not the data set"
                " of more than 50,000 rows; scores on it mean nothing. To train on the whole, put"
                f" {_NAME} beside it, or unset BERTUNE_DATA so that it is downloaded.",
            ),
        ),
    ),
    sources=(
        Download(f"https://thigm85.github.io/data/cord19/{_NAME}", _NAME, sha256=None, at_most=64 << 20),
    ),
)
