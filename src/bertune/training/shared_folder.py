"""A folder that several processes work on: created at once, with a lock for each piece of work.

The operating system releases the lock of a process that was killed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bertune.errors import RunExistsError
from bertune.files import disk_errors, refuse_unusable, remove, shown_path, sync, temporary_name

LOCKS = ".bertune-locks"


def acquired(out: Path, name: str, wait: bool = False) -> FileLock | None:
    """The lock of a piece of work, or None if another process holds it. Raises ResourceError, InputError."""
    lock = FileLock(out / LOCKS / name)
    while True:
        with disk_errors(out):
            (out / LOCKS).mkdir(exist_ok=True)
            try:
                lock.acquire(blocking=wait)
            except Timeout:
                return None
            except FileNotFoundError:
                continue  # the process that completed the work removed the folder
            return lock


@contextlib.contextmanager
def locked(out: Path, name: str, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a piece of work; yields whether this process got it."""
    lock = acquired(out, name, wait)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def remove_locks(out: Path) -> None:
    """Remove the locks of work that is complete."""
    remove(out / LOCKS)


def is_resumable(out: Path, kind: str, is_one: Callable[[Path], bool], resume: bool) -> bool:
    """Whether there is a folder of this kind to resume, such as a "search". `is_one` recognises it.

    Raises RunExistsError if `out` is something else, or without `resume`; InputError for an unusable path.
    """
    refuse_unusable(out, "--out")
    if not os.path.lexists(out):
        return False
    if not is_one(out):
        raise RunExistsError(
            f"{shown_path(out)} already exists and is not a {kind}. Nothing in it was changed. Use another "
            "--out"
        )
    if not resume:
        raise RunExistsError(
            f"{shown_path(out)} already exists. Nothing in it was changed. Use another --out, or continue or "
            f"join that {kind} with --resume"
        )
    return True


def created(out: Path, fill: Callable[[Path], None], is_known: Callable[[], bool]) -> bool:
    """Create a folder, visible only when `fill` has written its first files.

    Returns False if another process created it meanwhile, which `is_known` checks. Raises ResourceError,
    InputError.
    """
    staging = out.with_name(temporary_name(out.name))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove(staging)
        staging.mkdir()
        try:
            fill(staging)
            sync(staging)
            try:
                staging.rename(out)
            except OSError:  # the folder exists by now
                if not is_known():
                    raise
                return False
            sync(out.parent)
        finally:
            remove(staging)
    return True
