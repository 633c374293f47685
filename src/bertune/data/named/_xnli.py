"""Shared definition of the XNLI data sets: where each language is published, and how it becomes a table."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bertune.data.archives import Limits, read_members
from bertune.data.named._dataset import Dataset, Download, File, has_lines
from bertune.data.named._raw import by_number, github
from bertune.errors import DataError

_ADDRESS = "https://dl.fbaipublicfiles.com/XNLI/"
_BY_PEOPLE, _BY_MACHINE = "XNLI-1.0.zip", "XNLI-MT-1.0.zip"
_TEST = "XNLI-1.0/xnli.test.tsv"
_DEV = github("GautamGupta17/MESH", "68f82e29e71a4e425069ff398a61387c24c0f30d", "data/xnli")
_LIMITS = Limits(member=512 << 20)


def xnli(language: str, dev_sha256: str) -> Dataset:
    """One language of XNLI: a machine-translated MNLI training file, dev and test files translated by people.

    `dev_sha256` is the checksum of the dev file.
    """
    train, dev, test = (f"{split}-{language}.tsv" for split in ("train", "dev", "test"))

    def build(sources: Mapping[str, Path], folder: Path) -> None:
        if dev in sources:
            sources[dev].replace(folder / dev)
        if _BY_PEOPLE in sources:
            rows = _rows(sources[_BY_PEOPLE], _TEST, ("language", "sentence1", "sentence2", "gold_label"))
            _write(folder / test, (row[1:] for row in rows if row[0] == language))
        if _BY_MACHINE in sources:
            member = f"XNLI-MT-1.0/multinli/multinli.train.{language}.tsv"
            rows = _rows(sources[_BY_MACHINE], member, ("premise", "hypo", "label"))
            # The translated training file spells one label differently from the dev and test files.
            _write(
                folder / train, ((*row[:2], row[2].replace("contradictory", "contradiction")) for row in rows)
            )

    return Dataset(
        settings={"data": by_number(texts=2), "train": {"best_metric": "accuracy"}},
        files=(
            File("train", train, has_lines(392_702, columns=3)),
            File("validation", dev, has_lines(2_490, columns=3)),
            File("test", test, has_lines(5_010, columns=3)),
        ),
        sources=(
            Download(_ADDRESS + _BY_MACHINE, _BY_MACHINE, sha256=None, at_most=1 << 30, uses=("train",)),
            Download(_DEV + dev, dev, dev_sha256, at_most=4 << 20, uses=("validation",)),
            Download(_ADDRESS + _BY_PEOPLE, _BY_PEOPLE, sha256=None, at_most=64 << 20, uses=("test",)),
        ),
        build=build,
        folder="xnli",
    )


def _rows(archive: Path, member: str, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The values of `columns` in each row of an archived table that is not quoted. Raises DataError."""
    found = [b"".join(blocks) for _, blocks in read_members(archive, member.__eq__, _LIMITS)]
    if not found:
        raise DataError(f"{archive.name} does not contain {member}")
    header, *lines = found[0].decode("utf-8").removesuffix("\n").split("\n")
    names = header.rstrip("\r").split("\t")
    if missing := [column for column in columns if column not in names]:
        raise DataError(f"{member} has no column {' and '.join(missing)}; it has {', '.join(names)[:200]}")
    at = [names.index(column) for column in columns]
    for number, line in enumerate(lines, start=2):
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(names):
            raise DataError(f"{member}, line {number}: expected {len(names)} columns, found {len(cells)}")
        yield tuple(cells[place] for place in at)


def _write(path: Path, rows: Iterator[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)
