"""Downloads from a real local HTTP server that misbehaves on request."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bertune.data import download as module
from bertune.data.download import Patience, download
from bertune.errors import DataError, ResourceError

BODY = bytes(range(256)) * 1500  # 384,000 bytes: several blocks
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(tries=4, pause=0.01, timeout=5)
SOURCE_FOLDER = Path(module.__file__).parents[2]


@dataclass
class Page:
    """How the server responds to one path."""

    body: bytes = BODY
    etag: str | None = '"one"'
    honours_range: bool = True
    tells_length: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection breaks, per request
    statuses: list[int] = field(default_factory=list)  # responses before the first 200
    location: str | None = None
    skews_range: bool = False  # returns another range than the requested one
    most_of_range: int | None = None  # maximum bytes of a range per response
    pause: float = 0.0


class Site:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[dict[str, str]] = []
        self.url = ""

    def page(self, path: str = "/file", **settings: object) -> str:
        self.pages[path] = Page(**settings)  # type: ignore[arg-type]
        return self.url + path


class Answer(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self.site.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        page = self.site.pages[self.path]
        time.sleep(page.pause)
        if page.location is not None:
            return self._head(302, {"Location": page.location, "Content-Length": "0"})
        if page.statuses:
            return self._head(page.statuses.pop(0), {"Content-Length": "0"})
        start, status = self._start(page)
        headers = {"ETag": page.etag} if page.etag else {}
        if status == 416:
            self._head(416, headers | {"Content-Range": f"bytes */{len(page.body)}"})
            self.wfile.write(b"<html>Range Not Satisfiable</html>")
            return None
        rest = page.body[start:]
        if status == 206:
            rest = rest[: page.most_of_range]
            first = start + 7 if page.skews_range else start
            headers["Content-Range"] = f"bytes {first}-{start + len(rest) - 1}/{len(page.body)}"
        if page.tells_length:
            headers["Content-Length"] = str(len(rest))
        self._head(status, headers)
        self.wfile.write(rest[: page.cut_after.pop(0)] if page.cut_after else rest)

    def _start(self, page: Page) -> tuple[int, int]:
        asked = self.headers.get("Range")
        if not asked or not page.honours_range or self.headers.get("If-Range") not in (None, page.etag):
            return 0, 200
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        return (start, 206) if start < len(page.body) else (0, 416)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_downloaded_and_no_temporary_file_remains(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.zip"
    assert download(site.page(), target, sha256=SHA256, patience=QUICK) == target
    assert target.read_bytes() == BODY
    assert only(target.parent) == ["file.zip"]
    assert site.requests[0]["accept-encoding"] == "identity"


def test_an_existing_file_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    url = site.page()
    for sha256 in (SHA256, SHA256, None):
        download(url, tmp_path / "f", sha256=sha256, patience=QUICK)
    assert len(site.requests) == 1


def test_a_file_with_another_checksum_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    download(site.page(), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY


def test_an_existing_file_with_another_checksum_is_named_when_the_network_fails(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(DataError, match="a different SHA-256") as error:
        download(site.page(statuses=[404]), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert str(tmp_path / "f") in str(error.value)
    assert (tmp_path / "f").read_bytes() == b"mine"


def test_a_dropped_connection_is_resumed_at_the_last_byte(site: Site, tmp_path: Path) -> None:
    url = site.page(cut_after=[100_000, 50_000])
    download(url, tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert [r.get("range") for r in site.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert {r.get("if-range") for r in site.requests[1:]} == {'"one"'}


def test_a_later_call_resumes_an_earlier_download(site: Site, tmp_path: Path) -> None:
    url = site.page(cut_after=[10_000, 10_000])
    with pytest.raises(DataError, match="20000 bytes received are kept"):
        download(url, tmp_path / "f", sha256=None, patience=Patience(tries=2, pause=0.01))
    assert not (tmp_path / "f").exists()
    download(url, tmp_path / "f", sha256=None, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert site.requests[2]["range"] == "bytes=20000-"


def test_a_file_that_changed_at_the_source_is_downloaded_from_the_start(site: Site, tmp_path: Path) -> None:
    url = site.page(cut_after=[10_000])
    with pytest.raises(DataError):
        download(url, tmp_path / "f", sha256=None, patience=Patience(tries=1))
    newer = BODY[::-1]
    site.page(body=newer, etag='"two"')
    download(url, tmp_path / "f", sha256=None, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == newer


def test_a_server_that_ignores_ranges_sends_the_whole_file(site: Site, tmp_path: Path) -> None:
    url = site.page(honours_range=False, cut_after=[100_000])
    download(url, tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_download_without_a_version_or_checksum_is_not_resumed(site: Site, tmp_path: Path) -> None:
    url = site.page(etag='W/"weak"', cut_after=[100_000])
    download(url, tmp_path / "f", sha256=None, patience=QUICK)
    assert [r.get("range") for r in site.requests] == [None, None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_range_in_several_responses_is_joined(site: Site, tmp_path: Path) -> None:
    url = site.page(cut_after=[100_000], most_of_range=150_000)
    download(url, tmp_path / "f", sha256=None, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert [r.get("range") for r in site.requests] == [None, "bytes=100000-", "bytes=250000-"]


def test_a_wrong_range_is_discarded(site: Site, tmp_path: Path) -> None:
    url = site.page(skews_range=True, cut_after=[100_000])
    download(url, tmp_path / "f", sha256=None, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert [r.get("range") for r in site.requests] == [None, "bytes=100000-", None]


@pytest.mark.parametrize(("left", "num_requests"), [(BODY, 1), (BODY + b"more", 2), (BODY[::-1], 2)])
def test_a_complete_part_is_verified_before_it_is_used(
    site: Site, tmp_path: Path, left: bytes, num_requests: int
) -> None:
    url = site.page()
    (tmp_path / "f.part").write_bytes(left)
    (tmp_path / "f.part.json").write_text(json.dumps([url, '"one"']))
    download(url, tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(site.requests) == num_requests
    assert only(tmp_path) == ["f"]


def test_a_resumed_file_with_a_wrong_beginning_is_downloaded_from_the_start(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text("not json")
    download(site.page(), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY
    assert [r.get("range") for r in site.requests] == ["bytes=1000-", None]


def test_a_wrong_checksum_is_refused_without_a_retry_and_not_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the SHA-256 is") as error:
        download(site.page(body=b"<html>login</html>"), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert SHA256 in str(error.value)
    assert len(site.requests) == 1
    assert only(tmp_path) == []


def test_attempts_are_limited_and_the_error_says_what_to_do(site: Site, tmp_path: Path) -> None:
    url = site.page(statuses=[503] * 9)
    with pytest.raises(DataError) as error:
        download(url, tmp_path / "f", sha256=None, instead="Put it there", patience=QUICK)
    assert len(site.requests) == 4
    assert url in str(error.value)
    assert "503 Service Unavailable (4 attempts)" in str(error.value)
    assert str(error.value).endswith("Put it there.")


def test_a_temporary_server_error_is_retried(site: Site, tmp_path: Path) -> None:
    download(site.page(statuses=[503, 429]), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_missing_file_is_not_requested_twice(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404 Not Found"):
        download(site.page(statuses=[404]), tmp_path / "f", sha256=None, patience=QUICK)
    assert len(site.requests) == 1


def test_an_unreachable_server_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"http://127\.0\.0\.1:9/f.*refused.*Without network access, save the file as"
    ):
        download("http://127.0.0.1:9/f", tmp_path / "f", sha256=None, patience=Patience(2, 0.01, 2))


def test_a_server_that_stops_responding_times_out(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="timed out"):
        download(site.page(pause=0.6), tmp_path / "f", sha256=None, patience=Patience(2, 0.01, 0.2))


def test_a_file_whose_declared_size_is_over_the_limit_is_not_downloaded(site: Site, tmp_path: Path) -> None:
    url = site.page(cut_after=[10] * 9)
    with pytest.raises(DataError, match="larger than the limit of 100000 bytes"):
        download(url, tmp_path / "f", sha256=None, at_most=100_000, patience=QUICK)
    assert len(site.requests) == 1
    assert only(tmp_path) == []


def test_a_file_of_unknown_size_over_the_limit_is_not_kept(site: Site, tmp_path: Path) -> None:
    url = site.page(tells_length=False)
    with pytest.raises(DataError, match="larger than the limit of 100000 bytes"):
        download(url, tmp_path / "f", sha256=None, at_most=100_000, patience=QUICK)
    assert only(tmp_path) == []


def test_a_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    site.page("/real")
    download(site.page(location="/real"), tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert [r["path"] for r in site.requests] == ["/file", "/real"]


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/f", "data:text/plain,x"])
def test_only_http_urls_are_followed(site: Site, tmp_path: Path, address: str) -> None:
    with pytest.raises(DataError, match=r"redirected to .*(only http and https|invalid URL)"):
        download(site.page(location=address), tmp_path / "f", sha256=None, patience=QUICK)
    with pytest.raises(DataError, match="not an HTTP address"):
        download(address, tmp_path / "f", sha256=None, patience=QUICK)
    assert only(tmp_path) == []


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    import httpx

    request = module._Request("https://a/f", tmp_path / "f", None, 1, "Instead.")
    assert str(module._http_url("//b/f", request, httpx.URL("https://a/f"))) == "https://b/f"
    with pytest.raises(DataError, match="redirected to http://b/f; only https"):
        module._http_url("http://b/f", request, httpx.URL("https://a/f"))


def test_a_redirect_loop_ends(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="redirected more than 10 times"):
        download(site.page(location="/file"), tmp_path / "f", sha256=None, patience=QUICK)


def test_the_proxy_of_the_environment_is_used(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", site.url)
    site.page("http://published.invalid/file")
    download("http://published.invalid/file", tmp_path / "f", sha256=SHA256, patience=QUICK)
    assert site.requests[0]["path"] == "http://published.invalid/file"


def test_an_unusable_proxy_raises_a_data_error(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "carrier-pigeon://127.0.0.1")
    with pytest.raises(DataError, match="a proxy or certificate set in the environment"):
        download(site.page(), tmp_path / "f", sha256=None, patience=QUICK)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always a full disk")
def test_a_full_disk_is_a_resource_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(ResourceError, match="the disk is full") as error:
        download(site.page(), tmp_path / "f", sha256=None, patience=QUICK)
    assert error.value.exit_code == 4
    assert not (tmp_path / "f").exists()


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .*BERTUNE_CACHE"):
        download(site.page(), tmp_path / "file" / "f", sha256=None, patience=QUICK)


def test_two_processes_download_a_file_once(site: Site, tmp_path: Path) -> None:
    url = site.page(pause=0.5)
    script = (
        "import sys; from pathlib import Path; from bertune.data.download import download;"
        f"download({url!r}, Path({str(tmp_path / 'f')!r}), sha256={SHA256!r})"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE_FOLDER)}
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(site.requests) == 1


def test_a_lock_that_is_never_released_is_named(site: Site, tmp_path: Path) -> None:
    from filelock import FileLock

    with (
        FileLock(tmp_path / "f.lock"),
        pytest.raises(DataError, match=r"another process has held the lock .*f\.lock"),
    ):
        download(site.page(), tmp_path / "f", sha256=None, patience=Patience(lock=0.1))


def test_importing_the_download_imports_no_heavy_package() -> None:
    script = (
        "import sys, bertune.data.named, bertune.data.download, bertune.data.archives;"
        "sys.exit(len({'torch', 'transformers', 'pandas', 'httpx'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE_FOLDER)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=60).returncode == 0
