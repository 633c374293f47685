"""Create, lock and write a run folder. Only files that bertune created are ever removed.

A run folder is built under a temporary name and renamed when it is complete. Files that a killed process was
writing have temporary names (`files.is_temporary`); the next process that takes the lock removes them.
"""

import contextlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
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
    replace_folder,
    replacing,
    sealed,
    sha256_of,
    shortened,
    shown_path,
    sync,
    sync_tree,
    temporary_name,
    to_json,
    write_atomically,
    write_json,
    write_jsonl,
)
from bertune.manifest import ManifestRecord
from bertune.record import Record
from bertune.run import CHECKPOINTS, CONFIG, MANIFEST, METRICS, PREDICTIONS, Run, is_run

LOCK = ".bertune-lock"
FROZEN, REFIT = "frozen", "refit"
LABEL_ERRORS = "label-errors"
_FOLDERS = ("model", PREDICTIONS, LABEL_ERRORS, "report", CHECKPOINTS, FROZEN, REFIT)
_ENTRIES = (MANIFEST, CONFIG, METRICS, LOCK, "tracking.json", "tensorboard", *_FOLDERS)
_CHECKPOINTS = re.compile(r"(damaged-)?(step-\d{8}(\.\d+)?|best-\d{8}(\.spare)?\.safetensors(\.\d+)?)")
# Files that bertune writes into the folders it clears; all other files in them belong to the user.
_OWN_NAMES = {
    CHECKPOINTS: _CHECKPOINTS,
    REFIT: _CHECKPOINTS,
    FROZEN: re.compile(r"[0-9a-f]{32}\.(npy|sha256)"),
}


class RunWriter:
    """Exclusive write access to a run folder. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.run = Run(path)
        self._lock = FileLock(path / LOCK)
        self._files = [CONFIG]  # files whose checksums a finished run records

    @staticmethod
    def create(path: Path, config: Config, manifest: ManifestRecord) -> "RunWriter":
        """Create a run folder, visible only when it is complete, and hold its lock.

        Raises RunExistsError, RunBusyError, and InputError if it cannot be written.
        """
        refuse_existing(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # The same name for every process, so that the next one removes what a killed one left.
            staging = path.with_name(f".{shortened(path.name)}.new.bertune-tmp")
            if staging.is_symlink() or not staging.is_dir():
                remove(staging)  # the name marks it as bertune's
            staging.mkdir(exist_ok=True)
            refuse_links(staging)  # otherwise training would write to their targets
            writer = RunWriter(staging)
            writer._acquire(path)
            try:
                for leftover in list(staging.iterdir()):  # from a process that was killed at this point
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
                if writer.run.path == staging:  # it was not renamed to the run folder
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
        # Remove the file while the lock is held: later it might be the lock of another process.
        with contextlib.suppress(OSError):
            (self.run.path / LOCK).unlink()
        self._lock.release()

    def update_manifest(self, **changes: Any) -> None:
        """Replace top-level entries of the manifest (plain JSON or records) atomically."""
        plain = {
            key: value.to_json() if isinstance(value, Record) else value for key, value in changes.items()
        }
        self._write_manifest({**self.run.manifest, **plain})

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        files = manifest.get("files") or {CONFIG: sha256_of(self.run.path / CONFIG)}
        write_json(self.run.path / MANIFEST, sealed({**manifest, "files": files}))

    def complete(self, **changes: Any) -> None:
        """Mark the run as complete and record a checksum of every file written outside `model/`."""
        metrics = self.run.path / METRICS
        with disk_errors(self.run.path):
            if metrics.exists():
                sync(metrics)
                self._files.append(METRICS)
            files = {name: sha256_of(self.run.path / name) for name in dict.fromkeys(self._files)}
        self.update_manifest(**changes, status="complete", files=files)

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Append the line of one step to metrics.jsonl."""
        with disk_errors(self.run.path), (self.run.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(to_json(line, indent=None) + "\n")

    def restore_metrics(self, content: bytes) -> bool:
        """Restore the lines up to a checkpoint. Returns whether the existing file differed from them."""
        path = self.run.path / METRICS
        # A folder of that name is an error in write_atomically.
        existing = read_bytes(path) if path.is_file() else b""
        if existing != content:
            write_atomically(path, content)
        return not existing.startswith(content)

    def drop_metrics_after(self, step: int) -> None:
        """Drop the lines of steps that a resumed run will repeat."""
        path = self.run.path / METRICS
        if path.exists():
            kept = [line for line in self.run.metrics() if line["step"] <= step] if step else []
            write_jsonl(path, kept)

    def write_predictions(self, split: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write the predictions for a split."""
        write_jsonl(self._prediction_file(f"{split}.jsonl"), lines)

    def write_file(self, file: str, write: Callable[[Path], None]) -> None:
        """Write a file next to the predictions with a function that takes its path."""
        with replacing(self._prediction_file(file)) as staging:
            write(staging)

    def write_lines(self, file: str, lines: Iterable[str]) -> None:
        """Write a text file next to the predictions."""
        with replacing(self._prediction_file(file)) as staging:
            staging.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _prediction_file(self, name: str) -> Path:
        folder = self.run.path / PREDICTIONS
        with disk_errors(self.run.path):
            folder.mkdir(exist_ok=True)
        self._files.append(f"predictions/{name}")
        return folder / name

    def write_arrays(self, file: str, arrays: Mapping[str, Any]) -> None:
        """Write NumPy arrays by name to a compressed file next to the predictions."""
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with disk_errors(self.run.path):
            write_atomically(self._prediction_file(file), content.getvalue())

    def adopt(self, other: Run) -> None:
        """Copy the model, predictions and metrics of another finished run into this one."""
        with disk_errors(self.run.path):
            for path in sorted((other.path / PREDICTIONS).iterdir()):
                write_atomically(self._prediction_file(path.name), path.read_bytes())
            write_atomically(self.run.path / METRICS, (other.path / METRICS).read_bytes())
            if (other.path / LABEL_ERRORS).is_dir():
                (self.run.path / LABEL_ERRORS).mkdir(exist_ok=True)
                for path in sorted((other.path / LABEL_ERRORS).iterdir()):
                    write_atomically(self.run.path / LABEL_ERRORS / path.name, path.read_bytes())
            staging = self.run.path / temporary_name("model")
            remove(staging)
            shutil.copytree(other.model_path, staging)
            sync_tree(staging)
            retired = replace_folder(staging, self.run.model_path)
            if retired is not None:
                remove(retired)

    def clear_working_files(self) -> None:
        """Remove files that only training needs. Files of the user in the same folders are kept."""
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
        """Remove a run without anything to resume. Other files in its folder are kept."""
        remove_temporaries(self.run.path)
        self.clear_working_files()
        for name in (MANIFEST, METRICS, *self._files, LOCK):
            remove(self.run.path / name)
        for folder in (self.run.path / PREDICTIONS, self.run.path):
            remove_if_empty(folder)


def record_decision(path: Path, **entries: Any) -> None:
    """Replace entries of the manifest of a finished run, such as `decision`. Raises RunBusyError."""
    with RunWriter(path) as writer:
        writer.update_manifest(**entries)


def refuse_existing(path: Path) -> None:
    """Raise RunBusyError or RunExistsError if the path exists. Nothing is written or removed.

    Raises InputError if the path is not usable. Called before any work is done.
    """
    refuse_unusable(path, "--out")
    if not os.path.lexists(path):
        return
    if is_run(path) and _is_locked(path):
        raise _busy(path)
    raise _exists(path)


def refuse_links(folder: Path) -> None:
    """Raise InputError if an entry of a run is a symbolic link, whose target is not part of the run."""
    for name in _ENTRIES:
        path = folder / name
        if path.is_symlink():
            raise InputError(
                f"{shown_path(path)} is a symbolic link. bertune does not write through links inside a run "
                "folder; replace the link with its target"
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
    shown = shown_path(path)
    if not is_run(path):
        return RunExistsError(
            f"{shown} already exists and is not a run. Nothing in it was changed. Use another --out"
        )
    return RunExistsError(
        f"{shown} already exists. Nothing in it was changed. Use another --out, or continue that run with "
        "--resume"
    )


def _busy(path: Path) -> RunBusyError:
    return RunBusyError(
        f"another process is writing to {shown_path(path)}. Wait for it to finish, or use another --out"
    )
