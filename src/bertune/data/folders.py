"""Folders and patterns that stand for data: parts of a Parquet table, and data sets that `datasets` saved."""

import json
import re
from pathlib import Path

from bertune.errors import DataError, listed

DATASET_DICT = "dataset_dict.json"  # what save_to_disk writes beside a folder for each split
STATE = "state.json"
INFO = "dataset_info.json"

# How split names are written in file names and by `datasets`, for each split of ours.
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
# train-00000-of-00002.parquet, test.parquet, validation_0.parquet
_SPLIT = re.compile(r"([a-z]+)(?=[-_.])", re.IGNORECASE)


def is_pattern(path: Path) -> bool:
    """Whether a path such as `data/train-*.parquet` stands for several Parquet files."""
    return "*" in path.name and path.suffix.casefold() == ".parquet" and not path.exists()


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files that a path stands for, sorted by name. Raises DataError for files of several splits
    in one folder, and where there are none."""
    if path.is_dir():
        found = _parquet_in(path)
        by_split = _by_split(found)
        if len(by_split) > 1:
            patterns = [f"{path}/{pattern}" for pattern in by_split.values()]
            raise DataError(
                f"{path} holds the files of several splits. Give the files of one split, as in {patterns[0]};"
                f" there are {listed(patterns)}"
            )
    elif is_pattern(path):
        found = sorted(p for p in path.parent.glob(path.name) if p.is_file())
    else:
        return [path]
    if not found:
        raise DataError(f"{path} stands for no Parquet file. Give a folder or pattern that does")
    return found


def has_parquet(path: Path) -> bool:
    """Whether a folder holds Parquet files itself, not in folders below it."""
    return bool(_parquet_in(path))


def splits_in(path: Path) -> dict[str, str]:
    """The path of each of our splits in a folder that holds several; empty where it is one table, or none.

    Raises DataError for several splits none of which is for training.
    """
    if (path / DATASET_DICT).is_file():
        inside = {name: str(path / name) for name in saved_splits(path)}
    else:
        by_split = _by_split(_parquet_in(path)) if path.is_dir() else {}
        inside = (
            {name: str(path / pattern) for name, pattern in by_split.items()} if len(by_split) > 1 else {}
        )
    found = {
        split: place
        for split, names in _NAMES.items()
        for name, place in inside.items()
        if name.casefold() in names
    }
    if inside and "train" not in found:
        raise DataError(
            f"{path}: none of its splits is called train; there are {listed(list(inside))}. Name the one to"
            f" train on, as in {next(iter(inside.values()))}"
        )
    return found


def saved_splits(path: Path) -> list[str]:
    """The names of the splits that a saved DatasetDict lists. Raises DataError where it lists none."""
    place = path / DATASET_DICT
    try:
        names = json.loads(place.read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{place}: expected an object with the list splits. Save the data set again"
        ) from error
    # A name that leaves the folder is not from save_to_disk.
    plain = isinstance(names, list) and all(isinstance(n, str) and Path(n).name == n != ".." for n in names)
    if not names or not plain:
        raise DataError(f"{place}: expected the names of folders in splits. Save the data set again")
    return [name for name in names if (path / name).is_dir()]


def no_table_in(path: Path) -> str:
    """The error text for a folder that is not a table."""
    if (path / DATASET_DICT).is_file():
        splits = saved_splits(path)
        return (
            f"{path} is a saved data set with several splits: {listed(splits)}. Give one of them, as in"
            f" {path / (splits or ['train'])[-1]}"
        )
    there = sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    return (
        f"{path} is a folder without Parquet files and not a saved data set; give a file, such as one of"
        f" those in it: {listed(there) or 'none'}"
    )


def _parquet_in(path: Path) -> list[Path]:
    # Spark writes _metadata and hidden checksums beside the parts.
    files = (p for p in path.iterdir() if p.suffix.casefold() == ".parquet" and p.name[0] not in "._")
    return sorted(p for p in files if p.is_file())


def _by_split(files: list[Path]) -> dict[str, str]:
    """A pattern for each split that file names begin with; empty where a name begins with none."""
    ours = {name: split for split, names in _NAMES.items() for name in names}
    found: dict[str, str] = {}
    for file in files:
        begin = _SPLIT.match(file.name)
        split = ours.get(begin[1].casefold()) if begin else None
        if begin is None or split is None:
            return {}
        found.setdefault(split, f"{begin[1]}*.parquet")
    return found
