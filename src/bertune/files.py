"""File operations: atomic writes, checksums, JSON, and the removal of temporary files.

Temporary names end in `.bertune-tmp`. bertune removes only files with that ending, because any other file may
belong to the user.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.errors import DamagedError, InputError, ResourceError

JsonObject = dict[str, Any]

CHECKSUM = "checksum"  # key of the sha256 that a sealed JSON object holds of its other entries
MOST_JSON = 1 << 29  # maximum bytes of a JSON file; the largest tokenizers have 20 MB
_BLOCK = 1 << 23  # bytes hashed at a time
_MOST_DIGITS = 300  # per integer, so that a sum of them can still be converted to a float
_TEMPORARY = re.compile(r"\..+\.bertune-tmp", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CANNOT_BE_WRITTEN = {
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EBUSY, errno.ELOOP,
}  # fmt: skip


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of writing to disk into a ResourceError or InputError."""
    try:
        yield
    except _write_errors() as error:
        number = _os_error_number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"no space left on the disk of {shown_path(path)} ({os.strerror(number)}). Incomplete files "
                "were removed. Free some space, or choose another disk with --out"
            ) from error
        if number in _CANNOT_BE_WRITTEN:
            raise InputError(
                f"cannot write {shown_path(path)}: {os.strerror(number)}. Use another --out"
            ) from error
        raise


def _write_errors() -> tuple[type[Exception], ...]:
    """OSError, and the error type of safetensors if the process has loaded that package."""
    safetensors: Any = sys.modules.get("safetensors")
    return (OSError,) if safetensors is None else (OSError, safetensors.SafetensorError)


def _os_error_number(error: Exception) -> int:
    """The error number of the operating system, which safetensors reports only in its message."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"os error (\d+)", str(error))
    return int(found.group(1)) if found else 0


def as_path(value: object, what: str) -> Path:
    """Convert an argument to a Path. Raises InputError if it is not a path, such as None. `what` names it."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise InputError(f"{what} must be a path (str or pathlib.Path), got {shown(value)}")
    return Path(value)


def shown(value: object) -> str:
    """A value for an error message: its representation, truncated, and its type."""
    text = repr(value)
    name = type(value).__name__
    text = text if len(text) <= 40 else f"{text[:40]}…"
    return text if value is None else f"{text} ({name})"


def refuse_unusable(path: Path, what: str) -> None:
    """Raise InputError if a path cannot exist, for example one that is too long. `what` names it."""
    try:
        os.lstat(path)
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else error.strerror
        if isinstance(error, ValueError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            shown = str(path) if len(str(path)) <= 60 else f"{str(path)[:60]}…"
            raise InputError(f"{what} {shown!r} is not a usable path ({reason}). Use another path") from error


def shown_path(path: Path | str) -> str:
    """A path for messages: relative to the current folder if it is inside, otherwise unchanged."""
    if not os.path.isabs(path):
        return str(path)
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder was removed; or another drive on Windows
        return str(path)
    return str(path) if relative.startswith("..") else relative


def shell_word(path: Path | str) -> str:
    """A path as typed in a shell command in the current folder: quoted if necessary."""
    shown = shown_path(path)
    text = f"./{shown}" if shown.startswith("-") else shown
    return shlex.quote(text) if os.name == "posix" else text


def temporary_name(name: str) -> str:
    """The hidden name under which a file is written before it is renamed to `name`."""
    # Long names are truncated: with process ID and ending, they must stay below 255 bytes, a common limit.
    return f".{shortened(name)}.{os.getpid()}.bertune-tmp"


def shortened(name: str) -> str:
    """The first 200 bytes of a file name, without bytes that are not UTF-8."""
    return os.fsencode(name)[:200].decode(errors="ignore")


def is_temporary(name: str) -> bool:
    """Whether a file name has the form that `temporary_name` returns."""
    return _TEMPORARY.fullmatch(name) is not None


def remove(path: Path) -> None:
    """Remove a file, a symbolic link (not its target) or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files that a killed process left in a folder. The caller must hold the run's lock."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if is_temporary(path.name):
            remove(path)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically: after a crash it is either complete or unchanged."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as staging:
        staging.write_bytes(data)


def replace_folder(staging: Path, folder: Path) -> Path | None:
    """Rename a complete folder to `folder`, whose content is never partly removed under its name.

    Returns the temporary name of the folder that was there before, for the caller to remove, or None.
    """
    retired = None
    if os.path.lexists(folder):
        retired = folder.with_name(temporary_name(f"{folder.name}.old"))
        remove(retired)
        folder.rename(retired)
    staging.rename(folder)
    sync(folder.parent)
    return retired


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, synced to disk and renamed to `path` when the block succeeds."""
    refuse_unusable(path, "cannot write:")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder. Use a file name")
    staging = path.with_name(temporary_name(path.name))
    try:
        with disk_errors(path.parent):
            yield staging
            sync(staging)
            staging.replace(path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # never created, or already renamed
            staging.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything in it are on disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def give_usual_permissions(path: Path) -> None:
    """Set the permissions of a file, or of every file in a folder, to those of a new file.

    Some libraries, such as safetensors, create files that only their owner can read, but one user may train
    a model and another serve it.
    """
    folder = path if path.is_dir() else path.parent
    # os.umask could only read the umask by changing it for all threads.
    probe = folder / temporary_name("permissions")
    probe.touch()
    try:
        mode = stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink()
    for file in folder.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and not file.is_symlink():
            file.chmod(mode)


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading. Raises OSError for a FIFO or a device, which may block or never end."""
    return open(path, "rb", opener=_regular)


def _regular(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a FIFO would wait for its writer.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open() itself reports a folder
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def read_bytes(path: Path) -> bytes:
    """The content of a regular file. Raises OSError."""
    with open_regular(path) as file:
        return file.read()


def to_json(value: Any, indent: int | None = 2, default: Callable[[Any], Any] | None = None) -> str:
    """Serialize to strict JSON: numbers that are not finite become null.

    Lone surrogates, which UTF-8 cannot encode, are written as escapes.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=default)
    except ValueError:
        value = _finite(value)
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=default)
    if _SURROGATE.search(text):
        return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False, default=default)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_atomically(path, to_json(value) + "\n")


def write_jsonl(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically and without holding all of them in memory."""
    with replacing(path) as staging, staging.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(to_json(line, indent=None) + "\n")


def read_jsonl(path: Path) -> Iterator[JsonObject]:
    """The objects in a JSONL file that bertune wrote, up to a line that a killed process left incomplete.

    Raises DamagedError with file and line if a line is not a JSON object.
    """
    shown = shown_path(path)
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    return
                yield _object(line, f"{shown}, line {number}")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{shown} is damaged: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DamagedError(f"cannot read {shown}: {error.strerror}") from error


def read_object(path: Path) -> JsonObject:
    """The JSON object in a file. Raises DamagedError with the file name if it does not contain one."""
    shown = shown_path(path)
    try:
        if path.stat().st_size > MOST_JSON:
            raise DamagedError(f"{shown} is damaged: larger than {MOST_JSON / 2**20:,.0f} MiB")
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{shown} is damaged: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DamagedError(f"cannot read {shown}: {error.strerror}") from error
    return _object(text, shown)


def _object(text: str, place: str) -> JsonObject:
    try:
        value = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:  # ValueError: also for a number with thousands of digits
        raise DamagedError(f"{place} is damaged: not JSON ({str(error)[:80]})") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{place} is damaged: expected a JSON object, found a {type(value).__name__}")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number with {len(digits):,} digits")
    return int(digits)


def sealed(value: Mapping[str, Any]) -> JsonObject:
    """The object with a checksum of its content, so that any change can be detected."""
    plain: JsonObject = json.loads(to_json({key: v for key, v in value.items() if key != CHECKSUM}))
    return {**plain, CHECKSUM: _digest(plain)}


def is_intact(value: Mapping[str, Any]) -> bool:
    """Whether the content of a sealed object matches its checksum."""
    rest = {key: v for key, v in value.items() if key != CHECKSUM}
    return value.get(CHECKSUM) == _digest(rest)


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of the content of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        # Large blocks: between two blocks the thread may have to wait for the interpreter lock.
        block = memoryview(bytearray(min(_BLOCK, max(1, os.fstat(file.fileno()).st_size))))
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()


def sha256_of_all(folder: Path) -> dict[str, str]:
    """The sha256 of every file in a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def changed_files(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """A message for each file in a folder that is missing, unreadable, or has another sha256."""
    problems = []
    for name, digest in expected.items():
        shown = os.path.join(shown_path(folder), name)
        try:
            if sha256_of(folder / name) != digest:
                problems.append(f"{shown} does not match its checksum")
        except FileNotFoundError:
            problems.append(f"{shown} is missing")
        except OSError as error:
            problems.append(f"{shown} cannot be read ({error.strerror})")
        except ValueError as error:  # a null character in a recorded name
            problems.append(f"{shown!r} cannot be read ({error})")
    return problems
