"""IMDB: sentiment of full-length film reviews (Maas et al. 2011).

Each split becomes one CSV file; the archive holds 50,000 labelled reviews, one file each.
"""

import csv
import gzip
import io
import re
from collections.abc import Mapping
from pathlib import Path

from bertune.data.archives import Limits, read_members
from bertune.data.byte_streams import MEBIBYTE
from bertune.data.named._dataset import Dataset, Download, File, has_records

_ARCHIVE = "aclImdb_v1.tar.gz"
_REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
_COLUMNS = ["id", "text", "label"]
_LIMITS = Limits(member=MEBIBYTE, total=2048 * MEBIBYTE)


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Write the rows sorted by label, then number. An ID such as `train/neg/0_3` ends in number and stars."""
    splits: dict[str, list[tuple[str, int, str, str]]] = {"train": [], "test": []}
    for name, blocks in read_members(sources[_ARCHIVE], _is_review, _LIMITS):
        match = _REVIEW.fullmatch(name)
        assert match is not None, "_is_review selects reviews only"
        split, sentiment, number, _ = match.groups()
        identity = name.removeprefix("aclImdb/").removesuffix(".txt")
        splits[split].append((sentiment, int(number), identity, b"".join(blocks).decode("utf-8")))
    for split, reviews in splits.items():
        _write(folder / f"{split}.csv.gz", sorted(reviews))


def _is_review(member: str) -> bool:
    return _REVIEW.fullmatch(member) is not None


def _write(path: Path, reviews: list[tuple[str, int, str, str]]) -> None:
    # No file name and no time in the gzip header, so that the same rows give the same bytes.
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for sentiment, _, identity, review in reviews:
            rows.writerow([identity, review, int(sentiment == "pos")])


DATASET = Dataset(
    settings={
        "data": {
            "text": ["text"],
            "label": "label",
            "id": "id",
            "header": True,
            "quoting": True,
            "delimiter": ",",
        },
        "model": {"max_length": 512},  # one review in eight exceeds BERT's limit of 512 tokens
        "train": {"best_metric": "accuracy"},
    },
    files=(
        File("train", "train.csv.gz", has_records(25000, _COLUMNS)),
        File("test", "test.csv.gz", has_records(25000, _COLUMNS)),
    ),
    sources=(
        Download(
            f"https://ai.stanford.edu/~amaas/data/sentiment/{_ARCHIVE}",
            _ARCHIVE,
            # As recorded by TensorFlow Datasets.
            sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
            at_most=128 << 20,
        ),
    ),
    build=_build,
)
