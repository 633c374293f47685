"""Downloads a file over HTTP: resumable, with a size limit and a checksum, moved into place when complete."""

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
from bertune.optional_packages import needs

if TYPE_CHECKING:
    import httpx

GIBIBYTE = 1 << 30
_MOST_REDIRECTS = 10
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Patience:
    """The number of attempts and the timeouts of a download."""

    tries: int = 5
    pause: float = 0.5  # seconds before the second attempt, doubled before each further one
    timeout: float = 30.0  # seconds to connect, and between bytes
    lock: float = 3600.0  # seconds to wait for another process that downloads the same file


@dataclass(frozen=True, slots=True)
class _Request:
    url: str
    target: Path
    sha256: str | None
    at_most: int
    instead: str

    def failed(self, what: str) -> DataError:
        return DataError(f"could not download {self.url}: {what}. {self.instead}")


_USUAL = Patience()


class _TransferError(Exception):
    """A transfer failed in a way that another attempt may fix."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    at_most: int = GIBIBYTE,
    instead: str = "",
    patience: Patience = _USUAL,
) -> Path:
    """Download `url` to `target` and return `target`. Does nothing if the file exists with this checksum.

    An interrupted transfer is kept as `target.part` and resumed, by this call or a later one. `instead` is
    the sentence of the error message that says what to do without network access. Raises DataError if the
    file cannot be downloaded, is larger than `at_most` bytes or has another checksum, ResourceError if the
    disk is full.
    """
    from filelock import FileLock, Timeout

    instead = instead or f"Without network access, save the file as {target}"
    request = _Request(url, target, sha256, at_most, instead.rstrip(".") + ".")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=patience.lock):
            if _is_whole(target, sha256):
                return target
            if target.is_file():
                other = f"The existing file {target} has a different SHA-256 than {sha256}. "
                request = replace(request, instead=other + request.instead)
            _download(request, patience)
    except Timeout as error:
        raise request.failed(
            f"another process has held the lock {error.lock_file} for more than {patience.lock:.0f} seconds"
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
    """The error to raise for an OSError while writing `path`."""
    if error.errno in _DISK_FULL:
        return ResourceError(
            f"the disk is full: {path} could not be written. Free some space, or set BERTUNE_CACHE to a"
            " folder on another disk, and run the command again; the download resumes where it stopped"
        )
    return DataError(
        f"cannot write {path}: {error.strerror or error}. Set BERTUNE_CACHE to a writable folder"
    )


def _download(request: _Request, patience: Patience) -> None:
    with needs("httpx", f"to download {request.url}", request.instead):
        import httpx

    part = _Part(request)
    reason = ""
    with _client(request, patience) as client:
        for attempt in range(patience.tries):
            if attempt:
                time.sleep(min(patience.pause * 2 ** (attempt - 1), 30.0))
            try:
                was_resumed = _receive(client, request, part)
                part.finish(was_resumed)
                return
            except (_TransferError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
            except httpx.InvalidURL as error:
                raise request.failed(f"the server redirected to an invalid URL: {error}") from error
    kept = f"; the {part.size} bytes received are kept, and the next run resumes" if part.size else ""
    raise request.failed(f"{reason} ({patience.tries} attempts{kept})")


@contextmanager
def _client(request: _Request, patience: Patience) -> Iterator["httpx.Client"]:
    import httpx

    try:
        client = httpx.Client(timeout=patience.timeout, follow_redirects=False)
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        # httpx reads HTTPS_PROXY, SSL_CERT_FILE … here. A SOCKS proxy needs an additional package.
        raise request.failed(
            f"a proxy or certificate set in the environment cannot be used: {error}"
        ) from error
    with client:
        yield client


def _receive(client: "httpx.Client", request: _Request, part: "_Part") -> bool:
    """Receive the rest of the file. Returns whether the part contains bytes of an earlier connection."""
    have, headers = part.resumable()
    with _opened(client, request, headers) as response:
        start, total = _placed(response, have, request)
        if start is None:
            part.drop()
            raise _TransferError("the server did not resume the transfer at the requested byte")
        if have and start == have == total:
            return True
        _within_limit(total or 0, request, part)
        part.note_validator(response)
        with part.file.open("ab" if start else "wb") as file:
            # Raw, because some servers declare "Content-Encoding: gzip" for a .tar.gz file. In blocks as they
            # arrive, because larger blocks would lose the last bytes before a broken connection.
            for block in response.iter_raw():
                file.write(block)
                _within_limit(file.tell(), request, part)
    if total is not None and part.size != total:
        seen = part.size
        if seen > total:
            part.drop()
        raise _TransferError(f"the connection ended after {seen} of {total} bytes")
    return start > 0


def _placed(response: "httpx.Response", have: int, request: _Request) -> tuple[int | None, int | None]:
    """The offset of the body in the file (None: not usable) and the file's total length (None: unknown)."""
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
    answer = f"the server returned {status} {response.reason_phrase}".rstrip()
    if status in _TRIED_AGAIN:
        raise _TransferError(answer)
    raise request.failed(answer)


def _within_limit(size: int, request: _Request, part: "_Part") -> None:
    if size > request.at_most:
        part.drop()
        raise request.failed(f"the file is larger than the limit of {request.at_most} bytes")


@contextmanager
def _opened(client: "httpx.Client", request: _Request, headers: dict[str, str]) -> Iterator["httpx.Response"]:
    url = _http_url(request.url, request)
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", url, headers=headers) as response:
            if not response.has_redirect_location:
                yield response
                return
            url = _http_url(response.headers["location"], request, came_from=url)
    raise request.failed(f"the server redirected more than {_MOST_REDIRECTS} times")


def _http_url(url: str, request: _Request, came_from: "httpx.URL | None" = None) -> "httpx.URL":
    import httpx

    try:
        parsed = came_from.join(url) if came_from else httpx.URL(url)
    except httpx.InvalidURL as error:
        raise request.failed(f'"{url}" is not a valid URL: {error}') from error
    allowed = ("https",) if came_from and came_from.scheme == "https" else ("http", "https")
    if parsed.scheme not in allowed:
        source = f"the server redirected to {parsed}" if came_from else "not an HTTP address"
        raise request.failed(f"{source}; only {' and '.join(allowed)} URLs are allowed")
    return parsed


class _Part:
    """The bytes received so far, with a note of the version of the file that they belong to."""

    def __init__(self, request: _Request) -> None:
        self._request = request
        self.file = request.target.with_name(request.target.name + ".part")
        self._note = request.target.with_name(request.target.name + ".part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def resumable(self) -> tuple[int, dict[str, str]]:
        """The number of bytes to resume from, and the request headers for the rest."""
        headers = {"Accept-Encoding": "identity"}
        validator = self._validator()
        if self.size and (validator or self._request.sha256):
            headers["Range"] = f"bytes={self.size}-"
            if validator:
                headers["If-Range"] = validator
            return self.size, headers
        return 0, headers

    def note_validator(self, response: "httpx.Response") -> None:
        """Store the version that is being received, for a later If-Range header."""
        etag = response.headers.get("etag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
        self._note.write_text(json.dumps([self._request.url, validator]), encoding="utf-8")

    def _validator(self) -> str | None:
        try:
            url, validator = json.loads(self._note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return str(validator) if url == self._request.url and validator else None

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, was_resumed: bool) -> None:
        """Verify the checksum and move the file to its target."""
        expected = self._request.sha256
        seen = sha256_of(self.file) if expected else None
        if seen != expected:
            self.drop()
            if was_resumed:
                raise _TransferError("the resumed file does not have the published checksum")
            raise self._request.failed(
                f"the SHA-256 is {seen}, expected {expected}; the file was changed at the source or in"
                " transit"
            )
        with self.file.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.file, self._request.target)
        self._note.unlink(missing_ok=True)
