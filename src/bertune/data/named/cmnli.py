"""CMNLI: natural language inference in Chinese, from MNLI and XNLI (CLUE; Xu et al. 2020).

Pairs on which the annotators disagreed have the label - and are left out, as in published scores.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from bertune.data.archives import read_members
from bertune.data.named._dataset import Dataset, Download, File, has_lines
from bertune.data.named._raw import by_number
from bertune.errors import DataError

_ARCHIVE = "cmnli_public.zip"
_MEMBERS = {"train.json": "train.txt", "dev.json": "dev.txt"}


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Convert JSON Lines to tab-separated lines of two sentences and a label."""
    seen = set()
    for name, blocks in read_members(sources[_ARCHIVE], lambda member: member.rpartition("/")[2] in _MEMBERS):
        member = name.rpartition("/")[2]
        seen.add(member)
        try:
            pairs = [
                json.loads(line) for line in b"".join(blocks).decode("utf-8").split("\n") if line.strip()
            ]
            lines = [
                "\t".join((pair["sentence1"], pair["sentence2"], pair["label"])) + "\n"
                for pair in pairs
                if pair["label"] != "-"
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{_ARCHIVE}, {name}: not in the published format ({error!r})") from error
        (folder / _MEMBERS[member]).write_text("".join(lines), encoding="utf-8", newline="\n")
    if missing := [member for member in _MEMBERS if member not in seen]:
        raise DataError(f"{_ARCHIVE} does not contain {' and '.join(missing)}")


DATASET = Dataset(
    settings={"data": by_number(texts=2), "train": {"best_metric": "accuracy"}},
    files=(
        File("train", "train.txt", has_lines(None, columns=3)),
        File("validation", "dev.txt", has_lines(12_241, columns=3)),
    ),
    sources=(
        Download(
            f"https://storage.googleapis.com/cluebenchmark/tasks/{_ARCHIVE}",
            _ARCHIVE,
            sha256=None,
            at_most=128 << 20,
        ),
    ),
    build=_build,
)
