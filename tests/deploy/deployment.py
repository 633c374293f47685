"""Read the deployment files, and run their commands without containers."""

import json
import re
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SECONDS = 300.0  # that a service may take to start on a busy machine


@dataclass(frozen=True)
class Stage:
    """The instructions of a stage of a Dockerfile, in order: name and arguments."""

    base: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The arguments of all instructions with this name."""
        return [arguments for instruction, arguments in self.instructions if instruction == name]

    def last(self, name: str) -> str:
        """The arguments of the last instruction with this name, which is the one that counts."""
        return self.all(name)[-1]


def stages(dockerfile: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, arguments = line.split(maxsplit=1)
        if name == "FROM":
            base, *alias = arguments.split(" AS ")
            found.append(Stage(base, *(alias or [None])))
        else:
            found[-1].instructions.append((name, arguments.strip()))
    return found


def compose(**variables: str) -> Any:
    """The content of compose.yaml, with the values of variables and the defaults of others."""

    def value(match: re.Match[str]) -> str:
        name, otherwise = match[1], match[2]
        return variables.get(name, otherwise.removeprefix(":-") if otherwise.startswith(":-") else match[0])

    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{(\w+)(:[^}]*)\}", value, text))


def words(arguments: str) -> list[str]:
    """The words of an instruction in the exec form, or in the shell form."""
    return list(json.loads(arguments)) if arguments.startswith("[") else shlex.split(arguments)


def replaced(text: str, replacements: Mapping[str, object]) -> str:
    """The text with other paths and ports."""
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, str(new))
    return text


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return found


def wait_until_ready(url: str, process: Popen[bytes], log: Path) -> None:
    """Return when a service answers /ready with 200; fail if its process ends before."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass  # nothing listens yet
        time.sleep(0.1)
    raise AssertionError(f"{url} was not ready after {SECONDS:g} s: {log.read_text()}")
