"""Selects the reader of a file or folder by suffix or content, or by the format of the training file."""

import re
from pathlib import Path, PurePosixPath
from types import ModuleType

from bertune import registry
from bertune.config import DataConfig
from bertune.data.byte_streams import PACKED, is_packed, name_in_archive
from bertune.data.encodings import first_text
from bertune.data.folders import is_pattern, no_table_in
from bertune.data.readers._objects import loads
from bertune.errors import DataError, listed
from bertune.optional_packages import is_installed

_PACKAGES = {"parquet": "pyarrow", "xlsx": "openpyxl", "docbin": "spacy"}  # what these readers need
_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")  # of files that may hold JSON instead of delimited text
_OTHER_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".zst", ".zstd", ".lz4", ".z")
_HEAD = 1 << 20  # characters in which JSON is recognized in a text file
# The beginning of a JSON list of objects, or of an object over several lines.
_JSON = re.compile(r'\s*(?:\[\s*\{\s*"|\{\s*\n\s*")')
_OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods", ".numbers")


def file_suffix(path: str | Path) -> str:
    """The suffix that identifies the format of a file, in lower case; empty if there is none.

    For a compressed file, it is the suffix before that of the compression, and for a zip archive, the suffix
    of the data file in it. Raises DataError for an archive without a single data file.
    """
    path = Path(path)
    is_archive = path.suffix.casefold() == ".zip" and path.is_file()
    name = name_in_archive(path) if is_archive else path.stem if is_packed(path) else path.name
    return PurePosixPath(name).suffix.casefold()


def readable_suffixes() -> tuple[str, ...]:
    """The suffixes of all formats that can be read with the installed packages, with the dot."""
    names = (n for n in registry.names("reader") if n not in _PACKAGES or is_installed(_PACKAGES[n]))
    readers = [registry.load("reader", name) for name in names]
    return tuple(dict.fromkeys(suffix for reader in readers for suffix in getattr(reader, "SUFFIXES", ())))


def read_as(file: str | Path, options: DataConfig, suffix: str) -> str:
    """The suffix by which a file is read: its own, or `suffix`, that of the training file.

    `suffix` is used if the file's own suffix is not that of a known format and no setting selects a reader.
    """
    own = file_suffix(file)
    if options.reader != "auto" or not Path(file).is_file() or _readers_of(own):
        return own
    return suffix if _readers_of(suffix) else own


def reading_like(file: str | Path, options: DataConfig, suffix: str) -> bool:
    """Whether a file is read in the same format as a training file with the suffix `suffix`.

    That is so if it has the same suffix, or one that is not that of a known format.
    """
    return read_as(file, options, suffix) == suffix


def choose_reader(path: Path, options: DataConfig, suffix: str) -> ModuleType:
    """The reader of a file or folder; `suffix` identifies its format. Raises ConfigError, DataError."""
    if options.reader != "auto":
        return registry.load("reader", options.reader)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file() and not is_pattern(path):
        raise DataError(f"{path} is not a regular file and can be read only once. Save it to a file first")
    candidates = _readers_of(suffix)
    if not candidates:
        raise DataError(_unknown(path, suffix))
    plain: ModuleType | None = None
    for reader in candidates:
        # Several formats may share a suffix. Those that can be recognized by their content have `recognises`.
        if not hasattr(reader, "recognises"):
            plain = reader
        elif reader.recognises(path, options) or len(candidates) == 1:
            return reader
    if plain is None:
        raise DataError(_unknown(path, suffix))
    json_suffix = _json_suffix(path, options) if suffix in _TEXT_SUFFIXES else ""
    return choose_reader(path, options, json_suffix) if json_suffix else plain


def is_other_format(reader: ModuleType, suffix: str, options: DataConfig) -> bool:
    """Whether a reader was selected by the content of a file, although the suffix suggests another one."""
    return options.reader == "auto" and suffix in _TEXT_SUFFIXES and suffix not in reader.SUFFIXES


def _json_suffix(path: Path, options: DataConfig) -> str:
    """`.jsonl` or `.json` if a text file contains JSON Lines or JSON; otherwise empty."""
    head = first_text(path, options.encoding, _HEAD)
    if _JSON.match(head):
        return ".json"
    lines = [line.strip() for line in head.split("\n") if line.strip()][:2]
    if not lines or not all(line.startswith("{") for line in lines) or not lines[0].endswith("}"):
        return ""
    try:
        first = loads(lines[0])
    except ValueError:
        return ""
    return ".jsonl" if isinstance(first, dict) and first else ""


def _of_folder(path: Path) -> ModuleType:
    for reader in _readers():
        if hasattr(reader, "recognises_folder") and reader.recognises_folder(path):
            return reader
    raise DataError(no_table_in(path))


def _readers() -> list[ModuleType]:
    return [registry.load("reader", name) for name in registry.names("reader")]


def _readers_of(suffix: str) -> list[ModuleType]:
    return [reader for reader in _readers() if suffix in getattr(reader, "SUFFIXES", ())]


def _unknown(path: Path, suffix: str) -> str:
    endings = [ending for reader in _readers() for ending in getattr(reader, "SUFFIXES", ())]
    seen = (
        f'has the suffix "{suffix}", which is not a known format'
        if suffix
        else "has no suffix, so its format is unknown"
    )
    known = f"{listed(list(dict.fromkeys(endings)), 30)}, each also with {listed(list(PACKED))}"
    if path.suffix.casefold() in _OTHER_ARCHIVES or suffix in _OTHER_ARCHIVES:
        return f"{path} is compressed in a format that cannot be read. Unpack it and use the data file"
    if suffix in _OTHER_WORKBOOKS:
        return (
            f"{path} is a spreadsheet in a format that cannot be read ({suffix}). Save it as .xlsx, or as "
            ".csv in UTF-8"
        )
    return (
        f"{path} {seen}. Known suffixes are {known}. Set the format, as in"
        " data.reader=delimited, or use your own reader with data.reader=my_reader.py"
    )
