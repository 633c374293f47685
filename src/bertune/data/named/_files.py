"""Locates the files of a named data set: in the user's folder, in the cache, or by downloading them."""

import csv
import gzip
import os
import shutil
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertune.data.download import download, storage_error
from bertune.data.named._dataset import Dataset, Download, File, place
from bertune.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Located:
    """The path of each file, by split, and notes about them."""

    paths: dict[str, Path]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """The folders that may hold the files of one data set."""

    name: str
    folder: str
    own: Path | None  # under BERTUNE_DATA
    cache: Path

    def at_hand(self, file: File, dataset: Dataset) -> Path | None:
        """The user's file, else the cached one unless a source under BERTUNE_DATA is newer."""
        if self.own is not None and (self.own / file.name).is_file():
            return self.own / file.name
        cached = self.cache / file.name
        if not cached.is_file():
            return None
        of_user = [
            path for source in _needed(dataset, [file]) if (path := self.own_source(source)) is not None
        ]
        is_current = all(path.stat().st_mtime <= cached.stat().st_mtime for path in of_user)
        return cached if is_current else None

    def own_source(self, source: Download) -> Path | None:
        """The path of a published file under BERTUNE_DATA; None if it is not there."""
        path = None if self.own is None else self.own / source.file
        return path if path is not None and path.is_file() else None


def located(name: str, dataset: Dataset, to_score: bool = False, given: Collection[str] = ()) -> Located:
    """The files of a data set: under BERTUNE_DATA, else in the cache, else downloaded into the cache.

    A file that is not published for download and not under BERTUNE_DATA is left out. With `to_score`, only
    one file is returned: the test file, or the validation file if there is no test file or only the
    validation file is on this machine. Splits in `given` are skipped. Raises ConfigError, DataError,
    ResourceError.
    """
    if dataset.packaged_in is not None:
        return Located({file.use: dataset.packaged_in / file.name for file in dataset.files}, ())
    folder = dataset.folder or name
    where = _Place(name, folder, _own_folder(folder), cache_folder() / "data" / folder)
    paths: dict[str, Path] = {}
    notes: list[str] = []
    wanted = _to_score(dataset, where) if to_score else [f for f in dataset.files if f.use not in given]
    for file in wanted:
        path = where.at_hand(file, dataset)
        if path is not None and path.parent == where.cache:
            _check(name, file, where.cache)
        own_sample = where.own / file.sample.name if where.own is not None and file.sample else None
        if path is None and file.sample and own_sample is not None and own_sample.is_file():
            path = own_sample
            notes.append(f"{name}: {file.sample.note}")
        if path is not None:
            paths[file.use] = path
    missing = [file for file in wanted if file.use not in paths and file.only_own is None]
    if missing:
        _fetch(where, dataset, missing)
    paths |= {file.use: where.cache / file.name for file in missing}
    return Located(paths, tuple(notes))


def at_hand(name: str, dataset: Dataset) -> dict[str, Path | None]:
    """The path of each file of a data set, by file name; None if it is not on this machine.

    Downloads nothing and does not check contents. Raises ConfigError if BERTUNE_DATA is not a folder.
    """
    if dataset.packaged_in is not None:
        return {file.name: dataset.packaged_in / file.name for file in dataset.files}
    folder = dataset.folder or name
    where = _Place(name, folder, _own_folder(folder), cache_folder() / "data" / folder)
    found: dict[str, Path | None] = {}
    for file in dataset.files:
        found[file.name] = where.at_hand(file, dataset)
        if found[file.name] is None and where.own is not None and file.sample is not None:
            sample = where.own / file.sample.name
            found[file.name] = sample if sample.is_file() else None
    return found


def _to_score(dataset: Dataset, where: _Place) -> list[File]:
    files = {file.use: file for file in dataset.files}
    scored = [files[use] for use in ("test", "validation") if use in files] or [*files.values()]
    at_hand = [file for file in scored if where.at_hand(file, dataset) is not None]
    return (at_hand or scored)[:1]


def cache_folder() -> Path:
    """The folder for downloads: BERTUNE_CACHE, else the bertune folder in the user's cache."""
    if chosen := os.environ.get("BERTUNE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).absolute() / "bertune"
    try:
        return Path.home() / ".cache" / "bertune"
    except RuntimeError as error:
        raise ConfigError(f"{error}. Set BERTUNE_CACHE to a folder for downloads") from error


def _own_folder(name: str) -> Path | None:
    chosen = os.environ.get("BERTUNE_DATA")
    if not chosen:
        return None
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(f"BERTUNE_DATA is set to {chosen}, which is not a folder. Correct or unset it")
    return folder / name


def _check(name: str, file: File, cache: Path) -> None:
    if problem := _problem(file, cache):
        raise DataError(
            f"{cache / file.name} is not the published file of {name}: {problem}. Delete it to download it"
            f" again. To use your own version, save it as {name}/{file.name} under BERTUNE_DATA"
        )


def _problem(file: File, folder: Path) -> str | None:
    try:
        return file.check(folder / file.name)
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError, DataError) as error:
        return f"the file cannot be read ({error})"


def _fetch(where: _Place, dataset: Dataset, missing: Sequence[File]) -> None:
    """Download, build and check the missing files. If anything fails, none of them enters the cache."""
    from filelock import FileLock

    try:
        where.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(where.cache / "fetch.lock"):
            # Another process may have fetched them in the meantime.
            if any(where.at_hand(file, dataset) is None for file in missing):
                _fetch_alone(where, dataset, missing)
    except OSError as error:
        raise storage_error(where.cache, error) from error


def _fetch_alone(where: _Place, dataset: Dataset, missing: Sequence[File]) -> None:
    downloads, build = where.cache / "downloads", where.cache / "build"
    needed = ", ".join(f"{where.folder}/{file.name}" for file in missing)
    offline = f"or set BERTUNE_DATA to a folder with {needed}"
    sources: dict[str, Path] = {}
    came_from: list[str] = []
    how = "downloaded from"
    for source in _needed(dataset, missing):
        target = downloads / source.file
        own = where.own_source(source)
        came_from.append(str(own or source.url))
        if own is not None:
            how = "found at"
            downloads.mkdir(exist_ok=True)
            shutil.copyfile(own, target)  # the build may move its sources
            sources[source.file] = target
            continue
        instead = f"Without network access, save the file as {target}, {offline}"
        sources[source.file] = download(
            source.url, target, sha256=source.sha256, at_most=source.at_most, instead=instead
        )
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    try:
        dataset.build(sources, build)
        for file in missing:
            if problem := _problem(file, build):
                raise DataError(f"{file.name}: {problem}")
        for file in missing:
            os.replace(build / file.name, where.cache / file.name)
    except DataError as error:
        # If the server sent a login page instead of the archive, keeping it would break the next attempt too.
        shutil.rmtree(downloads, ignore_errors=True)
        raise DataError(
            f"the data {how} {' and '.join(came_from)} is not the published {where.name}: {error}."
            f" Try again later, {offline}"
        ) from error
    finally:
        shutil.rmtree(build, ignore_errors=True)
    shutil.rmtree(downloads, ignore_errors=True)


def _needed(dataset: Dataset, missing: Sequence[File]) -> list[Download]:
    """The downloads that the missing files need: those with the same names, or all they are built from."""
    if dataset.build is place:
        names = {file.name for file in missing}
        return [source for source in dataset.sources if source.file in names]
    uses = {file.use for file in missing}
    return [source for source in dataset.sources if not source.uses or uses & set(source.uses)]
