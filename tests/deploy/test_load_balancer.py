"""The load balancer of deploy/compose.yaml keeps answering while a replica is gone."""

import re
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest
from deployment import DEPLOY, compose, free_ports, replaced, stages, wait_until_ready, words

from tiny_exports import Exports

TOKEN = "a-secret-of-the-test"
REQUESTS = 12


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose(BERTUNE_MODEL="/exported")["services"]
    return found


@pytest.fixture(scope="module")
def replicas(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if service["image"] == "bertune-serve"}


def test_the_balancer_knows_every_replica_and_waits_for_it(
    services: dict[str, Any], replicas: dict[str, Any]
) -> None:
    assert len(replicas) == 2
    config = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    port = stages(DEPLOY / "Dockerfile")[-1].last("EXPOSE")
    assert re.findall(r"^\s*server (\S+) resolve", config, re.MULTILINE) == [f"{n}:{port}" for n in replicas]
    waits = services["balancer"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in replicas}
    [published] = services["balancer"]["ports"]
    inside = published.split(":")[1]
    assert f"listen {inside};" in config
    assert f"http://127.0.0.1:{inside}/ready" in services["balancer"]["healthcheck"]["test"]
    assert not any("ports" in replica for replica in replicas.values()), "only the balancer can be reached"


def test_the_replicas_get_the_model_and_the_token_as_a_secret(replicas: dict[str, Any]) -> None:
    secrets = compose(BERTUNE_MODEL="/exported")["secrets"]
    for replica in replicas.values():
        [secret] = replica["secrets"]
        assert set(secrets[secret]) == {"file"}
        assert f"serve.token_file=/run/secrets/{secret}" in replica["command"]
        assert "/exported:/model:ro" in replica["volumes"] and "/model" in replica["command"]
        assert replica["command"][:1] == words(stages(DEPLOY / "Dockerfile")[-1].last("CMD"))[:1]
        assert replica["read_only"] and replica["cap_drop"] == ["ALL"]
        built = (DEPLOY / replica["build"]["context"] / replica["build"]["dockerfile"]).resolve()
        assert built == DEPLOY / "Dockerfile"


@dataclass(frozen=True)
class Balanced:
    """Two services behind nginx."""

    url: str
    processes: list[Popen[bytes]]


@pytest.fixture
def balanced(replicas: dict[str, Any], exports: Exports, tmp_path: Path) -> Iterator[Balanced]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    export = exports.export("classification")
    (tmp_path / "token").write_text(TOKEN + "\n", encoding="utf-8")
    ports = free_ports(3)
    processes, addresses = [], {}
    try:
        for port, (name, replica) in zip(ports[1:], replicas.items(), strict=True):
            command = replaced(
                "\n".join(replica["command"]),
                {
                    "/model": export,
                    "0.0.0.0": "127.0.0.1",
                    "8000": port,
                    "/run/secrets/bertune_token": tmp_path / "token",
                },
            ).split("\n")
            with (tmp_path / name).open("wb") as log:
                process = Popen([sys.executable, "-m", "bertune", *command], stdout=log, stderr=log)
            processes.append(process)
            addresses[f"{name}:8000 resolve"] = f"127.0.0.1:{port}"
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        config = replaced(
            text, {"/tmp/": f"{tmp_path}/", "listen 8080": f"listen 127.0.0.1:{ports[0]}", **addresses}
        )
        (tmp_path / "nginx.conf").write_text(config, encoding="utf-8")
        for process, port, name in zip(processes, ports[1:], replicas, strict=True):
            wait_until_ready(f"http://127.0.0.1:{port}", process, tmp_path / name)
        with (tmp_path / "nginx.log").open("wb") as log:
            command = ["nginx", "-p", str(tmp_path), "-c", "nginx.conf", "-g", "daemon off;"]
            processes.append(Popen(command, stdout=log, stderr=log))
        url = f"http://127.0.0.1:{ports[0]}"
        wait_until_ready(url, processes[-1], tmp_path / "nginx.log")
        yield Balanced(url, processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


def test_requests_are_answered_while_a_replica_is_killed_and_the_token_is_required(
    balanced: Balanced,
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=balanced.url, headers=headers, timeout=60) as client:
        for number in range(REQUESTS):
            if number == REQUESTS // 2:
                balanced.processes[0].send_signal(signal.SIGKILL)
            found = client.post("/predict", json={"inputs": f"text {number}"})
            assert found.status_code == 200, found.text
            assert {one["label"] for one in found.json()} == {"good", "bad"}
        balanced.processes[0].wait(timeout=60)
        assert client.get("/ready").status_code == 200
    assert httpx.post(f"{balanced.url}/predict", json={"inputs": "text"}).status_code == 401
