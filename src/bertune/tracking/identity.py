"""The ID of a run or a group of runs in trackers, stored in its folder for resuming."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from bertune.errors import DamagedError
from bertune.files import (
    JsonObject,
    disk_errors,
    read_object,
    remove,
    shown_path,
    temporary_name,
    to_json,
    write_json,
)

FILE = "tracking.json"


def identity(folder: Path) -> str:
    """The ID of a folder, which is created by the first call; 16 hexadecimal digits.

    Processes that call it at the same time get the same ID. Raises InputError, ResourceError, DamagedError.
    """
    path = folder / FILE
    if not path.exists():
        staging = folder / temporary_name(FILE)
        with disk_errors(folder):
            try:
                staging.write_text(to_json({"id": secrets.token_hex(8)}) + "\n", encoding="utf-8")
                os.link(staging, path)  # unlike a rename, it does not replace the file of another process
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                staging.replace(path)
            finally:
                remove(staging)
    found = _stored(folder).get("id")
    if not isinstance(found, str) or not found:
        raise DamagedError(
            f"{shown_path(path)} is damaged: it has no ID. Remove the file; the run then appears in the "
            "trackers as a new one"
        )
    return found


def logged(folder: Path) -> dict[str, str]:
    """The trackers that logged everything up to the last stop of a run, with its status at that time."""
    found = _stored(folder).get("logged") if (folder / FILE).exists() else None
    return {str(name): str(status) for name, status in found.items()} if isinstance(found, dict) else {}


def mark_logged(folder: Path, trackers: Iterable[str], status: str) -> None:
    """Record that trackers have logged a run up to its end or interruption. Raises ResourceError."""
    write_json(folder / FILE, _stored(folder) | {"logged": logged(folder) | dict.fromkeys(trackers, status)})


def _stored(folder: Path) -> JsonObject:
    return read_object(folder / FILE)
