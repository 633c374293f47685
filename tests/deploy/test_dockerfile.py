"""The commands of deploy/Dockerfile build an environment without torch that serves an export."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import DEPLOY, Stage, free_ports, replaced, stages, wait_until_ready, words

import bertune as bt
from tiny_exports import Exports

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "scipy", "scikit-learn", "pandas", "pyarrow", "matplotlib", "onnx"}
pytestmark = pytest.mark.slow  # it installs the packages of the image
# In the output of pip where it cannot reach a registry.
NO_REGISTRY = ("Retrying (Retry", "Failed to establish a new connection", "Temporary failure in name res")


@pytest.fixture(scope="module")
def image() -> list[Stage]:
    return stages(DEPLOY / "Dockerfile")


@pytest.fixture(scope="module")
def root(image: list[Stage]) -> Iterator[Path]:
    """What stands for the root of the image: a folder that other users can read."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name, arguments in image[0].instructions:
            if name == "COPY":
                *sources, target = arguments.split()
                copy_from_context(sources, folder / target.lstrip("/"))
            else:
                assert name == "RUN", f"the test does not know {name}"
                run(arguments, folder)
        yield folder


def copy_from_context(sources: list[str], target: Path) -> None:
    """COPY, which copies files into a folder, and the content of a folder."""
    for source in sources:
        assert not is_ignored(source), f"{source} is in Dockerfile.dockerignore"
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)


def is_ignored(path: str) -> bool:
    """Whether a path of the build context is left out; the last pattern that fits decides."""
    ignored = False
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch.fnmatch(path, pattern):
            ignored = not line.startswith("!")
    return ignored


def run(command: str, folder: Path) -> None:
    """RUN, in the environment of this machine, whose `python` stands for that of the base image."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    python = programs / "python"
    python.unlink(missing_ok=True)
    python.symlink_to(os.path.realpath(sys.executable))
    for path in ("/src", "/opt"):
        command = command.replace(path, f"{folder}{path}")
    command = command.replace("--no-cache-dir", "--no-compile --retries 1")  # the cache makes the test faster
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": ""}
    done = subprocess.run(
        ["sh", "-ec", command], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    if done.returncode and any(sign in done.stdout + done.stderr for sign in NO_REGISTRY):
        pytest.skip("pip cannot reach a package registry")
    assert done.returncode == 0, done.stderr


def test_the_image_has_neither_torch_nor_pip(root: Path) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    python = root / "opt/bertune/bin/python"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    installed = {name.lower().replace("_", "-") for name in json.loads(done.stdout)}
    assert {"bertune", "onnxruntime", "fastapi", "uvicorn"} <= installed
    assert not installed & (HEAVY | {"pip", "pytest"})


def test_the_image_runs_as_a_user_without_rights(image: list[Stage]) -> None:
    final = image[-1]
    user, group = final.last("USER").split(":")
    assert int(user) > 0 and int(group) > 0  # numbers, which Kubernetes can check
    assert final.base == image[0].base, (
        "the environment links to the interpreter of the image it was built in"
    )
    assert not final.all("RUN"), "the final stage only copies"


def container(
    image: Stage, root: Path, port: int, model: Path
) -> tuple[Mapping[str, Any], list[str], list[str]]:
    """Options of the process, the command and the health check, for another port and model."""
    environment = dict(pair.split("=", 1) for pair in image.last("ENV").split())
    assert environment["PATH"].startswith("/opt/bertune/bin:")
    environment["PATH"] = f"{root}{environment['PATH'].removesuffix(':$PATH')}"
    options: dict[str, Any] = {"env": environment, "cwd": "/"}
    if can_run_as_another_user(root):
        user, group = map(int, image.last("USER").split(":"))
        options |= {"user": user, "group": group, "extra_groups": []}
    assert image.last("EXPOSE") == "8000"
    command = json.dumps([*words(image.last("ENTRYPOINT")), *words(image.last("CMD"))])
    check = image.last("HEALTHCHECK").split("CMD ", 1)[1]
    return (
        options,
        words(replaced(command, {"8000": port, "/model": model})),
        words(replaced(check, {"8000": port})),
    )


def can_run_as_another_user(root: Path) -> bool:
    """Whether this process may change its user, and others can read the interpreter."""
    python = root / "opt/bertune/bin/python"
    try:
        return subprocess.run([python, "-c", ""], user=10001, group=10001, check=False).returncode == 0
    except PermissionError:
        return False


def program(command: list[str], options: Mapping[str, Any]) -> list[str]:
    """The command with the path of its program, which subprocess would look up in the PATH of the tests."""
    found = shutil.which(command[0], path=options["env"]["PATH"])
    assert found is not None, f"{command[0]} is not in the image"
    return [found, *command[1:]]


def test_the_command_serves_an_export_and_the_health_check_tells(
    image: list[Stage], root: Path, exports: Exports
) -> None:
    export = exports.export("classification")
    model = root / "model"  # the folders of pytest cannot be read by another user
    shutil.copytree(export, model, dirs_exist_ok=True)
    [port] = free_ports(1)
    options, command, check = container(image[-1], root, port, model)
    assert (
        subprocess.run(program(check, options), capture_output=True, **options, check=False).returncode != 0
    )
    log = root / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(program(command, options), stdout=output, stderr=output, **options) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, log)
            subprocess.run(program(check, options), **options, check=True)
            reply = httpx.post(f"{url}/predict", json={"inputs": "a great phone"})
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0, log.read_text()
    [expected] = bt.load(export).predict(["a great phone"])
    found = {one["label"]: one["score"] for one in reply.json()}
    assert found == pytest.approx(expected.probabilities, abs=1e-5)
