"""Build an export in a hidden folder, which gets its name only when it is complete."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bertune.errors import ConfigError, RunBusyError
from bertune.files import disk_errors, refuse_unusable, remove, remove_if_empty, replace_folder, shortened
from bertune.metadata import recorded_metadata

_LOCK = "lock"


@dataclass(frozen=True)
class Staging:
    """The folders in which an export is built."""

    export: Path  # becomes the export
    work: Path  # for intermediate files


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Staging]:
    """Empty folders to build in. When the block succeeds, `Staging.export` replaces `folder`.

    If the block fails, the new files are removed, and an earlier export in `folder` is unchanged. Files left
    by a killed process are removed. Raises RunBusyError if another process is exporting to the same folder,
    and InputError or ResourceError if the disk cannot be written.
    """
    # The same name for every process, so that the next one removes what a killed one has left.
    around = folder.with_name(f".{shortened(folder.name)}.export.bertune-tmp")
    is_new_parent = not folder.parent.exists()
    with disk_errors(folder):
        around.mkdir(parents=True, exist_ok=True)
        lock = FileLock(around / _LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise RunBusyError(
                f"another process is exporting to {folder}. Wait for it to finish, or use another --out"
            ) from error
        try:
            staging = Staging(around / "export", around / "work")
            for part in (staging.export, staging.work):
                remove(part)
                part.mkdir()
            yield staging
            retired = replace_folder(staging.export, folder)
            if retired is not None:
                remove(retired)
        finally:
            remove(around)  # with the lock file, while the lock is held
            lock.release()
            if is_new_parent:
                remove_if_empty(folder.parent)


def refuse_other_folder(folder: Path) -> None:
    """Raise ConfigError if `folder` exists and is not an export, which may be replaced."""
    refuse_unusable(folder, "--out")
    if not os.path.lexists(folder):
        return
    found = recorded_metadata(folder) if folder.is_dir() and not folder.is_symlink() else None
    if found is None or found.export is None:
        raise ConfigError(f"{folder} already exists and is not an export. Use another --out, or remove it")
