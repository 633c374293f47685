"""Owns where a named data set's files are: the user's folder, the cache, or where they are published."""

import csv
import gzip
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

from bertune.data.download import download, storage_error
from bertune.data.named._dataset import Dataset, File
from bertune.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Located:
    """Where each file is, by its use, and what the user must know about them."""

    paths: dict[str, Path]
    notes: tuple[str, ...]


def located(name: str, dataset: Dataset) -> Located:
    """Every file of the data set: under BERTUNE_DATA, else in the cache, else downloaded into it."""
    if dataset.packaged_in is not None:
        return Located({file.use: dataset.packaged_in / file.name for file in dataset.files}, ())
    own, cache = _own_folder(name), cache_folder() / "data" / name
    paths: dict[str, Path] = {}
    notes: list[str] = []
    for file in dataset.files:
        if own is not None and (own / file.name).is_file():
            paths[file.use] = own / file.name
        elif (cache / file.name).is_file():
            paths[file.use] = _checked(name, file, cache)
        elif own is not None and file.sample and (own / file.sample.name).is_file():
            paths[file.use] = own / file.sample.name
            notes.append(f"{name}: {file.sample.note}")
        else:
            _fetch(name, dataset, cache)
            paths[file.use] = cache / file.name
    return Located(paths, tuple(notes))


def cache_folder() -> Path:
    """Where downloads are kept: BERTUNE_CACHE, else the bertune folder of the user's cache."""
    if chosen := os.environ.get("BERTUNE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).absolute() / "bertune"
    try:
        return Path.home() / ".cache" / "bertune"
    except RuntimeError as error:
        raise ConfigError(f"{error}; set BERTUNE_CACHE to a folder for downloads") from error


def _own_folder(name: str) -> Path | None:
    chosen = os.environ.get("BERTUNE_DATA")
    if not chosen:
        return None
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(f"BERTUNE_DATA is set to {chosen}, which is not a folder; correct or unset it")
    return folder / name


def _checked(name: str, file: File, cache: Path) -> Path:
    if problem := _problem(file, cache):
        raise DataError(
            f"{cache / file.name} is not the published file of {name}: {problem}. Delete it and it is"
            f" downloaded again; a version of your own belongs under BERTUNE_DATA, as {name}/{file.name}"
        )
    return cache / file.name


def _problem(file: File, folder: Path) -> str | None:
    try:
        return file.check(folder / file.name)
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        return f"it cannot be read ({error})"


def _fetch(name: str, dataset: Dataset, cache: Path) -> None:
    """Download, build and check every file; the cache gets all of them or, on any failure, none."""
    from filelock import FileLock

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "fetch.lock"):
            if any(not (cache / file.name).is_file() for file in dataset.files):
                _fetch_alone(name, dataset, cache)
    except OSError as error:
        raise storage_error(cache, error) from error


def _fetch_alone(name: str, dataset: Dataset, cache: Path) -> None:
    downloads, build = cache / "downloads", cache / "build"
    needed = " and ".join(f"{name}/{file.name}" for file in dataset.files)
    offline = f"or set BERTUNE_DATA to a folder that holds {needed}"
    sources = {}
    for source in dataset.sources:
        target = downloads / source.file
        instead = f"Without a network: get that file elsewhere and put it at {target}, {offline}"
        sources[source.file] = download(
            source.url, target, sha256=source.sha256, at_most=source.at_most, instead=instead
        )
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    try:
        dataset.build(sources, build)
        for file in dataset.files:
            if problem := _problem(file, build):
                raise DataError(f"in {file.name}, {problem}")
        for file in dataset.files:
            os.replace(build / file.name, cache / file.name)
    except DataError as error:
        # A login page kept as the archive would be taken for it next time.
        shutil.rmtree(downloads, ignore_errors=True)
        addresses = " and ".join(source.url for source in dataset.sources)
        raise DataError(
            f"what was downloaded from {addresses} is not the published {name}: {error}."
            f" Try again later, {offline}"
        ) from error
    finally:
        shutil.rmtree(build, ignore_errors=True)
    shutil.rmtree(downloads, ignore_errors=True)
