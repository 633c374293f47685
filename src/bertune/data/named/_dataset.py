"""Owns what a named data set says of itself: its files, where they are published, how to read them."""

import csv
import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from bertune.config import DataConfig, Settings
from bertune.data.archives import extract
from bertune.data.download import sha256_of
from bertune.data.tables import open_table

Check = Callable[[Path], str | None]  # what is wrong with a file that was downloaded, if anything
Use = Literal["train", "validation", "test"]
Build = Callable[
    [Mapping[str, Path], Path], None
]  # from the sources, by file name, makes the files in a folder


@dataclass(frozen=True, slots=True)
class Sample:
    """A smaller file that may stand in for the real one where only it is at hand."""

    name: str
    note: str  # what the user must know


@dataclass(frozen=True, slots=True)
class File:
    """One file as training reads it."""

    use: Use
    name: str
    check: Check
    sample: Sample | None = None
    only_own: str | None = None  # where users get a file that is published nowhere to download from


@dataclass(frozen=True, slots=True)
class Download:
    """One published file."""

    url: str
    file: str  # the name it is kept under while the data set is built
    sha256: str | None
    at_most: int  # bytes
    uses: tuple[Use, ...] = ()  # what it is needed for; default: every file


def place(sources: Mapping[str, Path], folder: Path) -> None:
    """The published files are the data set's files."""
    for name, path in sources.items():
        os.replace(path, folder / name)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that is found by its name; each file in this folder exports one as DATASET."""

    settings: Settings  # without the paths
    files: tuple[File, ...]
    sources: tuple[Download, ...] = ()
    build: Build = place
    packaged_in: Path | None = None  # a folder that comes with bertune: nothing is searched or fetched
    folder: str | None = None  # where its files are looked for; default: its name


def unpack(members: Mapping[str, str]) -> Build:
    """A Build that takes members out of the one source, an archive: member name -> file name."""

    def build(sources: Mapping[str, Path], folder: Path) -> None:
        (archive,) = sources.values()
        extract(archive, members, folder)

    return build


def has_sha256(expected: str) -> Check:
    """A Check for files whose published bytes are known."""

    def check(path: Path) -> str | None:
        seen = sha256_of(path)
        return None if seen == expected else f"its SHA-256 is {seen}, the published file's is {expected}"

    return check


def has_lines(count: int | None, columns: int) -> Check:
    """A Check for tab-separated files without quotes: so many lines, if known, the header included."""

    def check(path: Path) -> str | None:
        with path.open(encoding="utf-8", newline="\n") as file:
            lines = 0
            for lines, line in enumerate(file, start=1):
                if (seen := line.count("\t") + 1) != columns:
                    return f"line {lines} has {seen} columns, the published file has {columns}"
        return None if count in (None, lines) else f"it has {lines} lines, the published file has {count}"

    return check


def has_columns(columns: list[str]) -> Check:
    """A Check for tab-separated files whose published bytes are not recorded: their first columns."""

    def check(path: Path) -> str | None:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            header = file.readline().rstrip("\r\n").split("\t")
        return None if header[: len(columns)] == columns else other_columns(header, columns)

    return check


def has_records(count: int, columns: list[str]) -> Check:
    """A Check for CSV files, plain or .gz: this header, and so many records after it."""

    def check(path: Path) -> str | None:
        with opened_csv(path) as file:
            records = csv.reader(file)
            if (header := next(records, [])) != columns:
                return other_columns(header, columns)
            seen = sum(1 for _ in records)
        return None if seen == count else f"it has {seen} rows, the published file has {count}"

    return check


def has_rows(count: int, **reading: Any) -> Check:
    """A Check for files of any format: so many rows, read with these settings of [data]."""

    def check(path: Path) -> str | None:
        seen = sum(1 for _ in open_table(path, DataConfig(**reading), ()).rows())
        return None if seen == count else f"it has {seen} rows, the published file has {count}"

    return check


def other_columns(seen: list[str], expected: list[str]) -> str:
    """What a Check says of a file with another header."""
    return f"its columns are {','.join(seen)[:200]}, the published file's are {','.join(expected)}"


@contextmanager
def opened_csv(path: Path) -> Iterator[IO[str]]:
    """A CSV file, plain or .gz, as the csv module wants it."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as packed:
            yield packed
    else:
        with path.open(encoding="utf-8", newline="") as plain:
            yield plain
