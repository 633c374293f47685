"""A local server that implements the parts of the huggingface.co API that the tests need."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSALS = {  # repository -> status, error code in the header
    "tiny/absent": (404, "RepoNotFound"),
    "tiny/private": (401, "RepoNotFound"),
    "tiny/gated": (403, "GatedRepo"),
    "tiny/failing": (500, ""),
}


class PretendHub(ThreadingHTTPServer):
    """Serves folders as repositories, and some repositories with errors. `asked` lists every request."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories = repositories
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running(hub: PretendHub) -> Iterator[PretendHub]:
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    server: PretendHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        parts = path.removeprefix("/api/models").strip("/").split("/")
        repository, what = "/".join(parts[:2]), parts[2:]
        if repository == "tiny/silent":
            self.close_connection = True
        elif repository == "tiny/portal":
            self._send(200, b"<html>Please accept the terms of this network</html>", "text/html")
        elif repository in REFUSALS:
            status, code = REFUSALS[repository]
            self._send(status, b'{"error": "no"}', extra={"X-Error-Code": code} if code else {})
        elif repository not in self.server.repositories:
            self._send(404, b'{"error": "no"}', extra={"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/"):
            self._describe(repository, self.server.repositories[repository], what)
        else:
            self._file(repository, self.server.repositories[repository], "/".join(what[2:]))

    def _describe(self, repository: str, folder: Path, what: list[str]) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        if what[:1] == ["tree"]:
            found = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": _digest(path)}
                for name, path in zip(names, files, strict=True)
            ]
            self._send(200, json.dumps(found).encode())
        else:
            info = {"id": repository, "modelId": repository, "sha": COMMIT, "private": False, "tags": []}
            siblings = [{"rfilename": name} for name in names]
            self._send(200, json.dumps(info | {"siblings": siblings}).encode())

    def _file(self, repository: str, folder: Path, name: str) -> None:
        path = folder / name
        if not path.is_file():
            self._send(404, b"", extra={"X-Error-Code": "EntryNotFound"})
            return
        is_cut = repository == "tiny/half" and name.endswith(".safetensors")
        extra = {"ETag": f'"{_digest(path)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        self._send(200, path.read_bytes(), "application/octet-stream", extra, is_cut)

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        extra: dict[str, str] | None = None,
        is_cut: bool = False,
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if is_cut else body)
        if is_cut:
            self.close_connection = True


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
