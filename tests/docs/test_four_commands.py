"""The four commands of the README, from training to a call of the service, as a user types them."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny import BIN

ROOT = Path(__file__).parents[2]
# Appended to the training, which would take half a minute. Nothing else is changed but the port.
pytestmark = pytest.mark.slow  # it trains, exports and serves
SHORT = ("train.max_examples=24", "train.epochs=1", "model.max_length=32", "machine.threads=1")


def block(document: str) -> str:
    """The block with the four commands."""
    text = (ROOT / document).read_text(encoding="utf-8")
    [found] = re.findall(
        r"test_four_commands\.py[^\n]*-->\n```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    return str(found)


def test_both_readmes_have_the_same_four_commands() -> None:
    assert block("README.md") == block("README.zh-CN.md")
    programs = [shlex.split(line)[:2] for line in block("README.md").splitlines()]
    assert programs[:3] == [["bertune", "train"], ["bertune", "export"], ["bertune", "serve"]]
    assert [program for program, _ in programs[3:]] == ["curl"]


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a user who has activated the virtual environment."""
    return {**os.environ, "PATH": f"{BIN.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def port() -> Iterator[int]:
    """A port of 127.0.0.1 that is free, because 8000 may be in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = int(listener.getsockname()[1])
    yield found


def test_they_train_export_serve_and_call(tmp_path: Path, environment: dict[str, str], port: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    train, export, serve, call = block("README.md").splitlines()
    for line in (f"{train} {' '.join(SHORT)}", export):
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    with subprocess.Popen(
        ["bash", "-c", f"exec {serve} --port {port}"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as service:
        try:
            assert service.stdout is not None
            url = service.stdout.readline().decode().strip()  # printed when it is ready
            assert url == f"http://127.0.0.1:{port}"
            found = subprocess.run(
                ["bash", "-c", call.replace("http://127.0.0.1:8000", url)],
                cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
        finally:
            service.terminate()
    labels = {one["label"] for one in json.loads(found.stdout)}
    assert labels == {"parks", "streets", "noise", "waste"}
