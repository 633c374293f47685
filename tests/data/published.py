"""Named data sets as registered, and a local publisher that serves them."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from bertune import registry
from bertune.data import named
from bertune.data.named import Dataset, _dataset, defaults


def dataset_of(name: str) -> Dataset:
    return named.dataset(name)


def paths(name: str) -> dict[str, Path]:
    """The files of a named data set, by use."""
    data = defaults(name).settings["data"]
    return {use: Path(data[use]) for use in ("train", "validation", "test") if use in data}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Publisher:
    """Serves a folder and redirects a data set to it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.url = ""
        self._monkeypatch = monkeypatch

    def publish(self, name: str, files: Mapping[str, bytes], keep_sha256: bool = False) -> None:
        """Serve `files` as the sources of the data set, with their checksums unless these are to be kept."""
        for file, content in files.items():
            (self.folder / file).write_bytes(content)
        dataset = dataset_of(name)
        sources = [
            replace(
                source,
                url=f"{self.url}/{source.file}",
                sha256=source.sha256
                if keep_sha256
                else source.sha256 and sha256(files.get(source.file, b"")),
            )
            for source in dataset.sources
        ]
        self.change(name, replace(dataset, sources=tuple(sources)))

    def check(self, name: str, **checks: _dataset.Check) -> None:
        """Replace the checks, by use, to fit files that are smaller than the published ones."""
        dataset = dataset_of(name)
        files = [replace(file, check=checks.get(file.use, file.check)) for file in dataset.files]
        self.change(name, replace(dataset, files=tuple(files)))

    def change(self, name: str, dataset: Dataset) -> None:
        self._monkeypatch.setattr(registry.load("dataset", name), "DATASET", dataset)
