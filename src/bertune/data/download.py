"""Owns fetching one file over HTTP: resumable, bounded, checked, in its place only when it is whole."""

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertune.errors import BertuneError, DataError, ResourceError

if TYPE_CHECKING:
    import httpx

GIBIBYTE = 1 << 30
_MOST_REDIRECTS = 10
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download is given."""

    tries: int = 5
    pause: float = 0.5  # seconds before the second try, doubled before each further one
    timeout: float = 30.0  # seconds to connect, and without a byte
    lock: float = 3600.0  # seconds that another process may take for the same file


@dataclass(frozen=True, slots=True)
class _Wanted:
    url: str
    target: Path
    sha256: str | None
    at_most: int
    instead: str

    def failed(self, what: str) -> DataError:
        return DataError(f"could not download {self.url}: {what}. {self.instead}")


_USUAL = Patience()


class _TransferError(Exception):
    """The transfer broke in a way that another try may mend."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    at_most: int = GIBIBYTE,
    instead: str = "",
    patience: Patience = _USUAL,
) -> Path:
    """`target`, holding the bytes of `url`; nothing is fetched when it is there already.

    A broken transfer is kept as `target.part` and continued, by this call or a later one. `instead` is
    the sentence that tells the user what to do without a network. Raises DataError when the file cannot
    be had, is larger than `at_most` bytes or has another checksum; ResourceError when the disk is full.
    """
    from filelock import FileLock, Timeout

    instead = instead or f"Without a network: put the file at {target}"
    wanted = _Wanted(url, target, sha256, at_most, instead.rstrip(".") + ".")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=patience.lock):
            if _is_whole(target, sha256):
                return target
            if target.is_file():
                other = f"The file now at {target} has another SHA-256 than {sha256}. "
                wanted = replace(wanted, instead=other + wanted.instead)
            _download(wanted, patience)
    except Timeout as error:
        raise wanted.failed(
            f"another process has held {error.lock_file} for more than {patience.lock:.0f} seconds"
        ) from error
    except OSError as error:
        raise storage_error(target, error) from error
    return target


def _is_whole(target: Path, sha256: str | None) -> bool:
    return target.is_file() and (sha256 is None or sha256_of(target) == sha256)


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def storage_error(path: Path, error: OSError) -> BertuneError:
    """What the user reads when `path` could not be written."""
    if error.errno in _DISK_FULL:
        return ResourceError(
            f"the disk is full: {path} could not be written. Free some space, or set BERTUNE_CACHE to a"
            " folder on another disk, and start again; what was downloaded is kept and continued"
        )
    return DataError(
        f"cannot write {path}: {error.strerror or error}. Set BERTUNE_CACHE to a folder that can be written"
    )


def _download(wanted: _Wanted, patience: Patience) -> None:
    import httpx

    part = _Part(wanted)
    reason = ""
    with _client(wanted, patience) as client:
        for attempt in range(patience.tries):
            if attempt:
                time.sleep(min(patience.pause * 2 ** (attempt - 1), 30.0))
            try:
                was_resumed = _receive(client, wanted, part)
                part.finish(was_resumed)
                return
            except (_TransferError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
            except httpx.InvalidURL as error:
                raise wanted.failed(
                    f"it is redirected to something that is no web address: {error}"
                ) from error
    kept = f"; the {part.size} bytes that came are kept and continued next time" if part.size else ""
    raise wanted.failed(f"{reason} ({patience.tries} tries{kept})")


@contextmanager
def _client(wanted: _Wanted, patience: Patience) -> Iterator["httpx.Client"]:
    import httpx

    try:
        client = httpx.Client(timeout=patience.timeout, follow_redirects=False)
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        # httpx reads HTTPS_PROXY, SSL_CERT_FILE … here; a SOCKS proxy needs a package of its own.
        raise wanted.failed(
            f"a proxy or certificate set in the environment cannot be used: {error}"
        ) from error
    with client:
        yield client


def _receive(client: "httpx.Client", wanted: _Wanted, part: "_Part") -> bool:
    """Bring the part to its full length; whether bytes of an earlier connection are in it."""
    have, headers = part.resumable()
    with _opened(client, wanted, headers) as response:
        start, total = _placed(response, have, wanted)
        if start is None:
            part.drop()
            raise _TransferError("the server did not continue where the file broke off")
        if have and start == have == total:
            return True
        _within_limit(total or 0, wanted, part)
        part.note_validator(response)
        with part.file.open("ab" if start else "wb") as file:
            # Raw: a server that calls a .tar.gz "Content-Encoding: gzip" means the file itself. As they come:
            # gathered into larger blocks, the last ones before a broken connection would be lost.
            for block in response.iter_raw():
                file.write(block)
                _within_limit(file.tell(), wanted, part)
    if total is not None and part.size != total:
        seen = part.size
        if seen > total:
            part.drop()
        raise _TransferError(f"the connection ended after {seen} of {total} bytes")
    return start > 0


def _placed(response: "httpx.Response", have: int, wanted: _Wanted) -> tuple[int | None, int | None]:
    """Where the body belongs in the file (None: nowhere) and the file's full length (None: not told)."""
    status = response.status_code
    content_range = response.headers.get("content-range", "")
    if status == 200:
        length = response.headers.get("content-length", "")
        return 0, int(length) if length.isdigit() else None
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", content_range)
        return (have, int(match[2])) if match and int(match[1]) == have else (None, None)
    if status == 416:
        match = re.fullmatch(r"bytes \*/(\d+)", content_range)
        return (have, have) if match and int(match[1]) == have else (None, None)
    answer = f"the server answered {status} {response.reason_phrase}".rstrip()
    if status in _TRIED_AGAIN:
        raise _TransferError(answer)
    raise wanted.failed(answer)


def _within_limit(size: int, wanted: _Wanted, part: "_Part") -> None:
    if size > wanted.at_most:
        part.drop()
        raise wanted.failed(f"it is larger than the {wanted.at_most} bytes it may have")


@contextmanager
def _opened(client: "httpx.Client", wanted: _Wanted, headers: dict[str, str]) -> Iterator["httpx.Response"]:
    url = _http_url(wanted.url, wanted)
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", url, headers=headers) as response:
            if not response.has_redirect_location:
                yield response
                return
            url = _http_url(response.headers["location"], wanted, came_from=url)
    raise wanted.failed(f"it was redirected more than {_MOST_REDIRECTS} times")


def _http_url(url: str, wanted: _Wanted, came_from: "httpx.URL | None" = None) -> "httpx.URL":
    import httpx

    try:
        parsed = came_from.join(url) if came_from else httpx.URL(url)
    except httpx.InvalidURL as error:
        raise wanted.failed(f'"{url}" is not an address: {error}') from error
    allowed = ("https",) if came_from and came_from.scheme == "https" else ("http", "https")
    if parsed.scheme not in allowed:
        refused = f"redirected to {parsed}" if came_from else "no web address"
        raise wanted.failed(f"it is {refused}; only {' and '.join(allowed)} can be fetched from there")
    return parsed


class _Part:
    """The bytes that came so far, beside a note of which version of the file they belong to."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted = wanted
        self.file = wanted.target.with_name(wanted.target.name + ".part")
        self._note = wanted.target.with_name(wanted.target.name + ".part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def resumable(self) -> tuple[int, dict[str, str]]:
        """How many bytes can be built upon, and the request headers that ask for the rest."""
        headers = {"Accept-Encoding": "identity"}
        validator = self._validator()
        if self.size and (validator or self._wanted.sha256):
            headers["Range"] = f"bytes={self.size}-"
            if validator:
                headers["If-Range"] = validator
            return self.size, headers
        return 0, headers

    def note_validator(self, response: "httpx.Response") -> None:
        """Remember the version now being received, for If-Range."""
        etag = response.headers.get("etag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
        self._note.write_text(json.dumps([self._wanted.url, validator]), encoding="utf-8")

    def _validator(self) -> str | None:
        try:
            url, validator = json.loads(self._note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return str(validator) if url == self._wanted.url and validator else None

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, was_resumed: bool) -> None:
        """Check the checksum and move the file to its place."""
        expected = self._wanted.sha256
        seen = sha256_of(self.file) if expected else None
        if seen != expected:
            self.drop()
            if was_resumed:
                raise _TransferError("the continued file has another checksum than the published one")
            raise self._wanted.failed(
                f"its SHA-256 is {seen}, the published file's is {expected};"
                " it was changed at the source or on the way"
            )
        with self.file.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.file, self._wanted.target)
        self._note.unlink(missing_ok=True)
