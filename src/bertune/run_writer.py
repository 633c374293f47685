"""Writes a run folder: makes it, holds its lock, and removes only files that bertune made.

A run folder is built under a temporary name and renamed once it is whole. What a killed process was writing
has a temporary name (`files.is_temporary`), and whoever takes the lock next removes it.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from bertune.config import Config
from bertune.errors import InputError, RunBusyError, RunExistsError
from bertune.files import (
    disk_errors,
    read_bytes,
    refuse_unusable,
    remove,
    remove_if_empty,
    remove_temporaries,
    replacing,
    sealed,
    sha256_of,
    shortened,
    sync,
    to_json,
    write_atomically,
    write_json,
    write_jsonl,
)
from bertune.manifest import ManifestRecord, Record
from bertune.run import CONFIG, MANIFEST, METRICS, Run, is_run

LOCK = ".bertune-lock"
FROZEN = "frozen"
_FOLDERS = ("model", "predictions", "report", "checkpoints", FROZEN)
_ENTRIES = (MANIFEST, CONFIG, METRICS, LOCK, *_FOLDERS)
# What bertune puts into the two folders that it empties; anything else in them is the user's.
_OWN_NAMES = {
    "checkpoints": re.compile(r"(damaged-)?(step-\d{8}(\.\d+)?|best-\d{8}(\.spare)?\.safetensors(\.\d+)?)"),
    FROZEN: re.compile(r"[0-9a-f]{32}\.(npy|sha256)"),
}


class RunWriter:
    """Holds a run folder for writing, alone; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.run = Run(path)
        self._lock = FileLock(path / LOCK)
        self._files = [CONFIG]  # what a finished run records a checksum of

    @staticmethod
    def create(path: Path, config: Config, manifest: ManifestRecord) -> "RunWriter":
        """A new run folder, visible only once it is whole, its lock held.

        Raises RunExistsError, RunBusyError, and InputError where it cannot be written.
        """
        refuse_existing(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # The same name for every process, so that whoever comes next removes what a killed one left.
            staging = path.with_name(f".{shortened(path.name)}.new.bertune-tmp")
            if staging.is_symlink() or not staging.is_dir():
                remove(staging)  # its name says that it is bertune's
            staging.mkdir(exist_ok=True)
            refuse_links(staging)  # else training would write into what they point to
            writer = RunWriter(staging)
            writer._acquire(path)
            try:
                for leftover in list(staging.iterdir()):  # of a process that was killed here
                    if leftover.name != LOCK:
                        remove(leftover)
                write_atomically(staging / CONFIG, config.to_toml())
                writer._write_manifest(manifest.to_json())
                sync(staging)
                if os.path.lexists(path):
                    raise _exists(path)
                staging.rename(path)
                writer.run = Run(path)
                sync(path.parent)
            finally:
                if writer.run.path == staging:  # it did not become the run folder
                    writer.discard()
                    writer._release()
        return writer

    def __enter__(self) -> "RunWriter":
        if not self._lock.is_locked:
            refuse_links(self.run.path)
            self._acquire(self.run.path)
            for folder in (self.run.path, *(self.run.path / name for name in _FOLDERS)):
                remove_temporaries(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _acquire(self, path: Path) -> None:
        with disk_errors(path):
            try:
                self._lock.acquire(blocking=False)
            except Timeout as error:
                raise _busy(path) from error

    def _release(self) -> None:
        # Removed while it is still held: later, the file might be another process's lock.
        with contextlib.suppress(OSError):
            (self.run.path / LOCK).unlink()
        self._lock.release()

    def update_manifest(self, **changes: Any) -> None:
        """Replaces top-level entries of the manifest, plain JSON or records, atomically."""
        plain = {
            key: value.to_json() if isinstance(value, Record) else value for key, value in changes.items()
        }
        self._write_manifest({**self.run.manifest, **plain})

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        files = manifest.get("files") or {CONFIG: sha256_of(self.run.path / CONFIG)}
        write_json(self.run.path / MANIFEST, sealed({**manifest, "files": files}))

    def complete(self, **changes: Any) -> None:
        """Marks the run as complete, with a checksum of every file that training wrote outside `model/`."""
        metrics = self.run.path / METRICS
        with disk_errors(self.run.path):
            if metrics.exists():
                sync(metrics)
                self._files.append(METRICS)
            files = {name: sha256_of(self.run.path / name) for name in dict.fromkeys(self._files)}
        self.update_manifest(**changes, status="complete", files=files)

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Appends one step's line and flushes it."""
        with disk_errors(self.run.path), (self.run.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(to_json(line, indent=None) + "\n")

    def restore_metrics(self, content: bytes) -> bool:
        """Puts back the lines up to a checkpoint; says whether the file did not begin with them."""
        path = self.run.path / METRICS
        found = read_bytes(path) if path.is_file() else b""  # else it is replaced, or refused as a folder
        if found != content:
            write_atomically(path, content)
        return not found.startswith(content)

    def drop_metrics_after(self, step: int) -> None:
        """Forgets the lines of steps that a resumed run will take again."""
        path = self.run.path / METRICS
        if path.exists():
            kept = [line for line in self.run.metrics() if line["step"] <= step] if step else []
            write_jsonl(path, kept)

    def write_predictions(self, split: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Stores the predictions of a split."""
        write_jsonl(self._prediction_file(f"{split}.jsonl"), lines)

    def write_lines(self, file: str, lines: Iterable[str]) -> None:
        """Stores a text file beside the predictions."""
        with replacing(self._prediction_file(file)) as staging:
            staging.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _prediction_file(self, name: str) -> Path:
        folder = self.run.path / "predictions"
        with disk_errors(self.run.path):
            folder.mkdir(exist_ok=True)
        self._files.append(f"predictions/{name}")
        return folder / name

    def clear_working_files(self) -> None:
        """Frees the disk of what only training needed; the user's own files in there stay."""
        for name in _OWN_NAMES:
            self._clear_folder(name)

    def _clear_folder(self, name: str) -> None:
        folder = self.run.path / name
        if folder.is_symlink() or not folder.is_dir():
            return
        remove_temporaries(folder)
        for path in list(folder.iterdir()):
            if _OWN_NAMES[name].fullmatch(path.name):
                remove(path)
        remove_if_empty(folder)

    def discard(self) -> None:
        """Removes a run in which nothing worth resuming was saved; other files in its folder stay."""
        remove_temporaries(self.run.path)
        self.clear_working_files()
        for name in (MANIFEST, METRICS, *self._files, LOCK):
            remove(self.run.path / name)
        for folder in (self.run.path / "predictions", self.run.path):
            remove_if_empty(folder)


def refuse_existing(path: Path) -> None:
    """Raises RunBusyError or RunExistsError when something is there; called before any work is done.

    Nothing is written or removed to find out. Raises InputError for what cannot be a path.
    """
    refuse_unusable(path, "--out")
    if not os.path.lexists(path):
        return
    if is_run(path) and _is_locked(path):
        raise _busy(path)
    raise _exists(path)


def refuse_links(folder: Path) -> None:
    """Raises InputError where an entry of a run is a symbolic link: what it points to is not the run's."""
    for name in _ENTRIES:
        path = folder / name
        if path.is_symlink():
            raise InputError(
                f"{path} is a symbolic link. bertune does not write through links inside a run folder; "
                "replace the link with the file or folder that it points to"
            )


def _is_locked(path: Path) -> bool:
    lock = path / LOCK
    if lock.is_symlink() or not lock.is_file():
        return False
    probe = FileLock(lock)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return True
    probe.release()
    return False


def _exists(path: Path) -> RunExistsError:
    if not is_run(path):
        return RunExistsError(
            f"{path} exists already and is not a run; nothing in it was changed. Give another --out"
        )
    return RunExistsError(
        f"{path} exists already; nothing in it was changed. Give another --out, or continue that run with "
        "--resume"
    )


def _busy(path: Path) -> RunBusyError:
    return RunBusyError(f"another process is writing {path}. Wait for it, or give another --out")
