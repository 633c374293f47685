"""Owns the run folder: typed, atomic reads and writes. Nothing in a run is ever executed."""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from bertune.config import Config, nested, read_toml, resolve
from bertune.errors import InputError, ResourceError, RunBusyError, RunExistsError

_CANNOT_BE_WRITTEN = {
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EBUSY,
}  # fmt: skip
FORMAT = 1  # raised when the layout changes; readers accept every earlier number
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run, read from its folder."""

    path: Path

    @property
    def model_path(self) -> Path:
        """The folder with the kept weights, in the Hugging Face layout."""
        return self.path / "model"

    @property
    def config(self) -> Config:
        """The resolved settings that made this run."""
        return resolve(nested(read_toml(self.path / "config.toml")))

    @property
    def manifest(self) -> JsonObject:
        """What was trained on what, what "auto" chose, timings and scores."""
        manifest: JsonObject = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the kept weights: on the test texts where there are some, else on validation."""
        scores = self.manifest["scores"]
        chosen: dict[str, float] = scores.get("test") or scores.get("validation") or {}
        return chosen

    def metrics(self) -> list[JsonObject]:
        """One object per training step: step, epoch, loss, lr, and `validation` where it was evaluated."""
        path = self.path / "metrics.jsonl"
        return list(_whole_lines(path)) if path.exists() else []

    def predictions(self, split: str) -> Iterator[JsonObject]:
        """The stored predictions of `validation` or `test`, in the order of the source."""
        return read_jsonl(self.path / "predictions" / f"{split}.jsonl")


def open_run(path: str | Path) -> Run:
    """The run in a folder. Raises InputError when it is none, or of a newer format."""
    folder = Path(path)
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        what = "has no manifest.json" if folder.is_dir() else "does not exist"
        raise InputError(
            f"{folder} is not a run folder: it {what}. `bertune train SOURCE --out {folder}` makes one"
        )
    try:
        made_with = int(json.loads(manifest.read_text(encoding="utf-8"))["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{manifest} is damaged: {error!r}. The weights in {folder / 'model'} can still be loaded"
        ) from error
    if made_with > FORMAT:
        raise InputError(
            f"{folder} has run format {made_with}; this bertune reads up to {FORMAT}: upgrade bertune"
        )
    return Run(folder)


class RunWriter:
    """Holds a run folder for writing, alone; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.run = Run(path)
        self._lock = FileLock(path / ".lock")

    @staticmethod
    def create(path: Path, config: Config, manifest: Mapping[str, Any]) -> "RunWriter":
        """A new run folder, visible only once it is whole. Raises RunExistsError, RunBusyError."""
        refuse_existing(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                write_atomically(staging / "config.toml", config.to_toml())
                write_json(staging / "manifest.json", {"format": FORMAT, **manifest})
                staging.chmod(0o755)
                staging.rename(path)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise _exists(path) from error
                raise
            finally:
                shutil.rmtree(staging, ignore_errors=True)  # it is gone when it became the run folder
        return RunWriter(path)

    def __enter__(self) -> "RunWriter":
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise _busy(self.run.path) from error
        self._clear_leftovers()
        return self

    def _clear_leftovers(self) -> None:
        """Removes what a killed process was in the middle of writing; only the holder of the lock may."""
        for folder in (self.run.path, self.run.path / "checkpoints"):
            for path in folder.glob(".*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path != Path(self._lock.lock_file):
                    path.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        # Only a folder this process may still own loses its lock file.
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()

    def update_manifest(self, **changes: Any) -> None:
        """Replaces top-level entries of the manifest, atomically."""
        write_json(self.run.path / "manifest.json", {**self.run.manifest, **changes})

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Appends one step's line and flushes it."""
        with (
            disk_errors(self.run.path),
            (self.run.path / "metrics.jsonl").open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(line, allow_nan=True) + "\n")

    def drop_metrics_after(self, step: int) -> None:
        """Forgets the lines of steps that a resumed run will take again."""
        path = self.run.path / "metrics.jsonl"
        if path.exists():
            write_jsonl(path, [line for line in self.run.metrics() if line["step"] <= step])

    def write_predictions(self, split: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Stores the predictions of a split."""
        with disk_errors(self.run.path):
            (self.run.path / "predictions").mkdir(exist_ok=True)
            write_jsonl(self.run.path / "predictions" / f"{split}.jsonl", lines)

    def write_lines(self, file: str, lines: Iterable[str]) -> None:
        """Stores a text file beside the predictions."""
        with disk_errors(self.run.path), replacing(self.run.path / "predictions" / file) as staging:
            staging.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def discard(self) -> None:
        """Removes a run folder in which nothing worth resuming was saved."""
        shutil.rmtree(self.run.path, ignore_errors=True)


def refuse_existing(path: Path) -> None:
    """Raises RunBusyError or RunExistsError when the folder is there; called before any work is done."""
    if path.exists():
        if (path / ".lock").exists():
            with RunWriter(path):
                pass
        raise _exists(path)


def _exists(path: Path) -> RunExistsError:
    if not (path / "manifest.json").is_file():
        return RunExistsError(
            f"{path} exists already and holds no run; it is left as it is. Give another --out"
        )
    return RunExistsError(
        f"{path} exists already and is left as it is. Either give another --out, "
        f"or continue that run with --resume"
    )


def _busy(path: Path) -> RunBusyError:
    return RunBusyError(f"another process is writing {path}. Wait for it, or give another --out")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full disk or a forbidden folder into an error that says so."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _os_error_number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"no space left on the disk of {path} ({os.strerror(number)}). Nothing half-written was "
                f"kept; free some space, or choose another disk with --out"
            ) from error
        if number in _CANNOT_BE_WRITTEN:
            raise InputError(f"cannot write {path}: {os.strerror(number)}; give another --out") from error
        raise


def _os_error_number(error: OSError | SafetensorError) -> int:
    """The operating system's error number; safetensors hands it on in its text alone."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"os error (\d+)", str(error))
    return int(found.group(1)) if found else 0


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that it is there whole or, after a crash at any moment, as it was before."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as staging:
        staging.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, synced to disk, when the block succeeds."""
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with disk_errors(path.parent):
            yield staging
            sync(staging)
            staging.replace(path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # it was never made, or has taken its place
            staging.unlink()


def sync(path: Path) -> None:
    """Waits until a file, or a folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line, atomically, without holding them all."""
    with replacing(path) as staging, staging.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> Iterator[JsonObject]:
    """The objects of a JSONL file that bertune wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _whole_lines(path: Path) -> Iterator[JsonObject]:
    """The lines up to one that a killed process left unfinished."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield json.loads(line)
