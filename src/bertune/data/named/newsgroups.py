"""20 Newsgroups: long English posts by newsgroup, split by date (Lang 1995).

Posts keep their headers, which reveal more about the newsgroup than the text does.
"""

import gzip
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from bertune.data.archives import read_members
from bertune.data.named._dataset import Dataset, Download, File, has_rows

_ARCHIVE = "20news-bydate.tar.gz"
_POST = re.compile(r"20news-bydate-(train|test)/([\w.-]+)/(\d+)")


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Write the posts sorted by newsgroup, then number. An ID such as `sci.med/58124` holds both."""
    splits: dict[str, list[tuple[str, int, str]]] = {"train": [], "test": []}
    for name, blocks in read_members(sources[_ARCHIVE], lambda member: bool(_POST.fullmatch(member))):
        match = _POST.fullmatch(name)
        assert match is not None, "the filter selects posts only"
        split, group, number = match.groups()
        splits[split].append((group, int(number), b"".join(blocks).decode("latin-1")))
    for split, posts in splits.items():
        _write(folder / f"{split}.jsonl.gz", sorted(posts))


def _write(path: Path, posts: list[tuple[str, int, str]]) -> None:
    # No file name and no time in the gzip header, so that the same rows give the same bytes.
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        for group, number, post in posts:
            row = {"id": f"{group}/{number}", "label": group, "text": post}
            text.write(json.dumps(row, ensure_ascii=False) + "\n")


DATASET = Dataset(
    settings={
        "data": {"text": ["text"], "label": "label", "id": "id"},
        "model": {"max_length": 512},  # many posts exceed BERT's limit of 512 tokens
        "train": {"best_metric": "accuracy"},
    },
    files=(
        File("train", "train.jsonl.gz", has_rows(11_314)),
        File("test", "test.jsonl.gz", has_rows(7_532)),
    ),
    sources=(
        Download(
            "https://ndownloader.figshare.com/files/5975967",
            _ARCHIVE,
            # As recorded by scikit-learn.
            sha256="8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
            at_most=64 << 20,
        ),
    ),
    build=_build,
    folder="20newsgroups",
)
