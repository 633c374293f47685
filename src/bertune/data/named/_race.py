"""Shared definition of the RACE data sets: an archive with one file per passage (Lai et al. 2017)."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from bertune.data.archives import read_members
from bertune.data.named._dataset import Dataset, Download, File, Use, has_rows

_ARCHIVE = "RACE.tar.gz"
_PASSAGE = re.compile(r"RACE/(train|dev|test)/(middle|high)/(\d+)\.txt")
_USES: dict[str, Use] = {"train": "train", "dev": "validation", "test": "test"}


def race(levels: tuple[str, ...], questions: Mapping[str, int]) -> Dataset:
    """RACE restricted to some school levels; each split is a list of passages sorted by level and number.

    `questions` holds the number of questions in train, dev and test.
    """

    def build(sources: Mapping[str, Path], folder: Path) -> None:
        found: dict[str, list[tuple[int, int, object]]] = {split: [] for split in _USES}
        for name, blocks in read_members(sources[_ARCHIVE], lambda member: bool(_PASSAGE.fullmatch(member))):
            match = _PASSAGE.fullmatch(name)
            assert match is not None, "the filter selects passages only"
            content = b"".join(blocks)
            split, level, number = match.groups()
            if level in levels:
                found[split].append((levels.index(level), int(number), json.loads(content.decode("utf-8"))))
        for split, passages in found.items():
            ordered = [passage for *_, passage in sorted(passages, key=lambda item: item[:2])]
            (folder / f"{split}.json").write_text(json.dumps(ordered, ensure_ascii=False), encoding="utf-8")

    return Dataset(
        settings={
            "data": {"reader": "race"},
            "task": {"name": "multiple_choice"},
            "model": {"max_length": 512},
        },
        files=tuple(
            File(_USES[split], f"{split}.json", has_rows(count, reader="race"))
            for split, count in questions.items()
        ),
        sources=(
            Download(
                f"https://www.cs.cmu.edu/~glai1/data/race/{_ARCHIVE}",
                _ARCHIVE,
                # As recorded by TensorFlow Datasets.
                sha256="b2769cc9fdc5c546a693300eb9a966cec6870bd349fbc44ed5225f8ad33006e5",
                at_most=64 << 20,
            ),
        ),
        build=build,
    )
