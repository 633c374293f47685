"""The definition of a named data set: its files, where they are published, and how to read them."""

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

Check = Callable[[Path], str | None]  # describes what is wrong with a downloaded file; None if nothing is
Use = Literal["train", "validation", "test"]
Build = Callable[
    [Mapping[str, Path], Path], None
]  # builds the data set's files in a folder from the downloads, by file name


@dataclass(frozen=True, slots=True)
class Sample:
    """A smaller file that is used if the full one is not on this machine."""

    name: str
    note: str  # printed when the sample is used


@dataclass(frozen=True, slots=True)
class File:
    """One split, as training reads it."""

    use: Use
    name: str
    check: Check
    sample: Sample | None = None
    only_own: str | None = None  # for a file that cannot be downloaded: its contents and where to get it


@dataclass(frozen=True, slots=True)
class Download:
    """One published file."""

    url: str
    file: str  # its name on disk while the data set is built
    sha256: str | None
    at_most: int  # bytes
    uses: tuple[Use, ...] = ()  # the splits that need it; default: all


def place(sources: Mapping[str, Path], folder: Path) -> None:
    """The Build of a data set whose files are the published ones."""
    for name, path in sources.items():
        os.replace(path, folder / name)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set. Each module of this folder exports one as DATASET."""

    settings: Settings  # without the paths
    files: tuple[File, ...]
    sources: tuple[Download, ...] = ()
    build: Build = place
    packaged_in: Path | None = None  # a folder of the package: nothing is searched for or downloaded
    folder: str | None = None  # the folder with its files; default: its name


def unpack(members: Mapping[str, str]) -> Build:
    """A Build that extracts members of a single archive: member name -> file name."""

    def build(sources: Mapping[str, Path], folder: Path) -> None:
        (archive,) = sources.values()
        extract(archive, members, folder)

    return build


def has_sha256(expected: str) -> Check:
    """A Check that the SHA-256 is `expected`, for files whose published bytes are known."""

    def check(path: Path) -> str | None:
        seen = sha256_of(path)
        return None if seen == expected else f"the SHA-256 is {seen}, expected {expected}"

    return check


def has_lines(count: int | None, columns: int) -> Check:
    """A Check of unquoted tab-separated files: the number of columns, and of lines (None: unknown).

    `count` includes the header.
    """

    def check(path: Path) -> str | None:
        with path.open(encoding="utf-8", newline="\n") as file:
            lines = 0
            for lines, line in enumerate(file, start=1):
                if (seen := line.count("\t") + 1) != columns:
                    return f"line {lines} has {seen} columns, expected {columns}"
        return None if count in (None, lines) else f"the file has {lines} lines, expected {count}"

    return check


def has_columns(columns: list[str]) -> Check:
    """A Check of the first column names, for tab-separated files without a recorded checksum."""

    def check(path: Path) -> str | None:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            header = file.readline().rstrip("\r\n").split("\t")
        return None if header[: len(columns)] == columns else other_columns(header, columns)

    return check


def has_records(count: int, columns: list[str]) -> Check:
    """A Check of CSV files, plain or .gz: the header, and the number of records below it."""

    def check(path: Path) -> str | None:
        with opened_csv(path) as file:
            records = csv.reader(file)
            if (header := next(records, [])) != columns:
                return other_columns(header, columns)
            seen = sum(1 for _ in records)
        return None if seen == count else f"the file has {seen} rows, expected {count}"

    return check


def has_rows(count: int, **reading: Any) -> Check:
    """A Check of the number of rows, for files of any format; `reading` are settings of [data]."""

    def check(path: Path) -> str | None:
        seen = sum(1 for _ in open_table(path, DataConfig(**reading), ()).rows())
        return None if seen == count else f"the file has {seen} rows, expected {count}"

    return check


def other_columns(seen: list[str], expected: list[str]) -> str:
    """The message of a Check for a file with unexpected columns."""
    return f"the columns are {','.join(seen)[:200]}, expected {','.join(expected)}"


@contextmanager
def opened_csv(path: Path) -> Iterator[IO[str]]:
    """A CSV file, plain or .gz, opened for the csv module."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as packed:
            yield packed
    else:
        with path.open(encoding="utf-8", newline="") as plain:
            yield plain
