"""Folders and file patterns as data: the parts of a Parquet table, and data sets saved by `datasets`."""

import json
import re
from pathlib import Path

from bertune.errors import DataError, listed

DATASET_DICT = "dataset_dict.json"  # written by save_to_disk, next to one folder per split
STATE = "state.json"
INFO = "dataset_info.json"

# The spellings of each split in file names and in `datasets`.
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
# train-00000-of-00002.parquet, test.parquet, validation_0.parquet
_SPLIT = re.compile(r"([a-z]+)(?=[-_.])", re.IGNORECASE)


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern for Parquet files, such as `data/train-*.parquet`."""
    return "*" in path.name and path.suffix.casefold() == ".parquet" and not path.exists()


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files of a file, folder or pattern, sorted by name.

    Raises DataError if there are none, and for a folder with the files of several splits.
    """
    if path.is_dir():
        found = _parquet_in(path)
        by_split = _by_split(found)
        if len(by_split) > 1:
            patterns = [f"{path}/{pattern}" for pattern in by_split.values()]
            raise DataError(
                f"{path} contains the files of several splits. Expected one split. Use one of these patterns:"
                f" {listed(patterns)}"
            )
    elif is_pattern(path):
        found = sorted(p for p in path.parent.glob(path.name) if p.is_file())
    else:
        return [path]
    if not found:
        raise DataError(f"{path}: no Parquet files found. Correct the folder or pattern")
    return found


def has_parquet(path: Path) -> bool:
    """Whether a folder directly contains Parquet files; subfolders are ignored."""
    return bool(_parquet_in(path))


def splits_in(path: Path) -> dict[str, str]:
    """The path of each split in a folder with several splits.

    Empty if the folder is a single table, or does not hold data. Raises DataError if none of several splits
    is a training split.
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
            f"{path}: no split is named train; found {listed(list(inside))}. Use the path of the split to"
            f" train on, as in {next(iter(inside.values()))}"
        )
    return found


def saved_splits(path: Path) -> list[str]:
    """The names of the splits of a saved DatasetDict. Raises DataError if the file lists none."""
    place = path / DATASET_DICT
    try:
        names = json.loads(place.read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f'{place}: expected an object with the list "splits". Save the data set again'
        ) from error
    # save_to_disk never writes a name outside the folder.
    plain = isinstance(names, list) and all(isinstance(n, str) and Path(n).name == n != ".." for n in names)
    if not names or not plain:
        raise DataError(f'{place}: expected a list of folder names in "splits". Save the data set again')
    return [name for name in names if (path / name).is_dir()]


def no_table_in(path: Path) -> str:
    """The error message for a folder that is not a single table."""
    if (path / DATASET_DICT).is_file():
        splits = saved_splits(path)
        return (
            f"{path} is a saved data set with several splits: {listed(splits)}. Use one of them, as in"
            f" {path / (splits or ['train'])[-1]}"
        )
    files = sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    below = sorted(p for p in path.iterdir() if p.is_dir() and has_parquet(p))
    if below:
        return (
            f"{path} has Parquet files only in subfolders ({listed([p.name for p in below])}), which are "
            f"not read. Use {below[0]}"
        )
    return (
        f"{path} is a folder without Parquet files and not a saved data set. Use a data file instead;"
        f" the folder contains {listed(files) or 'no files'}"
    )


def _parquet_in(path: Path) -> list[Path]:
    # Spark writes _metadata and hidden checksum files next to the parts.
    files = (p for p in path.iterdir() if p.suffix.casefold() == ".parquet" and p.name[0] not in "._")
    return sorted(p for p in files if p.is_file())


def _by_split(files: list[Path]) -> dict[str, str]:
    """A file pattern for each split. Empty if the name of any file does not begin with a split."""
    split_of = {name: split for split, names in _NAMES.items() for name in names}
    found: dict[str, str] = {}
    for file in files:
        begin = _SPLIT.match(file.name)
        split = split_of.get(begin[1].casefold()) if begin else None
        if begin is None or split is None:
            return {}
        found.setdefault(split, f"{begin[1]}*.parquet")
    return found
