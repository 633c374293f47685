"""Writes files so that a crash leaves them whole or absent, checks them, and removes only what bertune made.

Every temporary name ends in `.bertune-tmp`: that ending is the record that a file is bertune's to remove.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.errors import DamagedError, InputError, ResourceError

JsonObject = dict[str, Any]

CHECKSUM = "checksum"  # the key under which a sealed JSON object holds the sha256 of the rest of it
MOST_JSON = 1 << 29  # bytes of a JSON record: the largest tokenizers have 20 MB
_BLOCK = 1 << 23  # bytes hashed at a time
_MOST_DIGITS = 300  # of a whole number: it, and a sum of such numbers, can still be turned into a float
_TEMPORARY = re.compile(r"\..+\.bertune-tmp", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CANNOT_BE_WRITTEN = {
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EBUSY, errno.ELOOP,
}  # fmt: skip


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full disk or a path that cannot be written into an error that says so."""
    from safetensors import SafetensorError

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


def _os_error_number(error: Exception) -> int:
    """The operating system's error number; safetensors hands it on in its text alone."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"os error (\d+)", str(error))
    return int(found.group(1)) if found else 0


def refuse_unusable(path: Path, what: str) -> None:
    """Raises InputError for a text that cannot be a path, such as one that is too long. `what` names it."""
    try:
        os.lstat(path)
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else error.strerror
        if isinstance(error, ValueError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            shown = str(path) if len(str(path)) <= 60 else f"{str(path)[:60]}…"
            raise InputError(f"{what} {shown!r} is not a usable path ({reason}); give another one") from error


def shell_word(path: Path | str) -> str:
    """A path as it is typed in a command: quoted where a shell would not take it as one word."""
    text = f"./{path}" if str(path).startswith("-") else str(path)
    return shlex.quote(text) if os.name == "posix" else text


def temporary_name(name: str) -> str:
    """A hidden name to write under before `name` is taken."""
    # Long names are cut: with process number and ending, no file system's limit of 255 bytes is passed.
    return f".{shortened(name)}.{os.getpid()}.bertune-tmp"


def shortened(name: str) -> str:
    """The first 200 bytes of a file name, without what is not UTF-8."""
    return os.fsencode(name)[:200].decode(errors="ignore")


def is_temporary(name: str) -> bool:
    """Whether a file name is one that `temporary_name` makes."""
    return _TEMPORARY.fullmatch(name) is not None


def remove(path: Path) -> None:
    """Removes a file, a link (never what it points to) or a whole folder; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_temporaries(folder: Path) -> None:
    """Removes what a killed process was writing in a folder; only the holder of the run's lock may."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if is_temporary(path.name):
            remove(path)


def remove_if_empty(folder: Path) -> None:
    """Removes a folder in which nothing is left."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that it is there whole or, after a crash at any moment, as it was before."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as staging:
        staging.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, synced to disk, when the block succeeds."""
    refuse_unusable(path, "cannot write:")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
    staging = path.with_name(temporary_name(path.name))
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


def sync_tree(folder: Path) -> None:
    """Waits until every file and folder below a folder is on disk, and the folder itself."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def open_regular(path: Path) -> io.BufferedReader:
    """A file to read from. Raises OSError for a FIFO or a device: it may block, or never end."""
    return open(path, "rb", opener=_regular)


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a FIFO waits for its writer
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder, open() says so itself
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def read_bytes(path: Path) -> bytes:
    """The whole of a regular file. Raises OSError."""
    with open_regular(path) as file:
        return file.read()


def to_json(value: Any, indent: int | None = 2, default: Callable[[Any], Any] | None = None) -> str:
    """JSON that any parser reads: numbers that are not finite are written as null.

    Half of a surrogate pair, which UTF-8 cannot hold, is written as an escape.
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
    """Writes indented JSON atomically."""
    write_atomically(path, to_json(value) + "\n")


def write_jsonl(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line, atomically, without holding them all."""
    with replacing(path) as staging, staging.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(to_json(line, indent=None) + "\n")


def read_jsonl(path: Path) -> Iterator[JsonObject]:
    """The objects of a JSONL file that bertune wrote, up to a line that a killed process left unfinished.

    Raises DamagedError naming file and line for one that is not a JSON object.
    """
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    return
                yield _object(line, f"{path}, line {number}")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is damaged: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DamagedError(f"cannot read {path}: {error.strerror}") from error


def read_object(path: Path) -> JsonObject:
    """The JSON object in a file. Raises DamagedError naming the file when there is none."""
    try:
        if path.stat().st_size > MOST_JSON:
            raise DamagedError(f"{path} is damaged: larger than {MOST_JSON / 2**20:,.0f} MiB")
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is damaged: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DamagedError(f"cannot read {path}: {error.strerror}") from error
    return _object(text, str(path))


def _object(text: str, place: str) -> JsonObject:
    try:
        value = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise DamagedError(f"{place} is damaged: not JSON ({str(error)[:80]})") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{place} is damaged: expected a JSON object, found a {type(value).__name__}")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def sealed(value: Mapping[str, Any]) -> JsonObject:
    """The object with a checksum of itself, so that a change of any value is noticed."""
    plain: JsonObject = json.loads(to_json({key: v for key, v in value.items() if key != CHECKSUM}))
    return {**plain, CHECKSUM: _digest(plain)}


def is_intact(value: Mapping[str, Any]) -> bool:
    """Whether a sealed object is as it was sealed."""
    rest = {key: v for key, v in value.items() if key != CHECKSUM}
    return value.get(CHECKSUM) == _digest(rest)


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        # Large blocks: between two the thread waits for the interpreter, which another one may hold.
        block = memoryview(bytearray(min(_BLOCK, max(1, os.fstat(file.fileno()).st_size))))
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()


def sha256_of_all(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def changed_files(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """What is wrong with files below a folder, a phrase each: absent, unreadable, or of another sha256."""
    problems = []
    for name, digest in expected.items():
        try:
            if sha256_of(folder / name) != digest:
                problems.append(f"{folder / name} does not match its checksum")
        except FileNotFoundError:
            problems.append(f"{folder / name} is missing")
        except OSError as error:
            problems.append(f"{folder / name} cannot be read ({error.strerror})")
        except ValueError as error:  # a null character in a recorded name
            problems.append(f"{folder / name!r} cannot be read ({error})")
    return problems
