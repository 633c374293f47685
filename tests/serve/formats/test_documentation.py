"""The OpenAPI document and page list every endpoint; what they and docs/serving.md show works with curl."""

import json
import re
import shlex
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from running import Running

from bertune.serve.documentation import type_of

SERVING = Path(__file__).parents[3] / "docs" / "serving.md"
PATHS = (
    "/", "/predict", "/rerank", "/embed", "/similarity", "/info", "/health", "/metrics",
    "/v1/embeddings", "/v1/models", "/v1/systemone", "/tag", "/answer", "/choose", "/fill",
    "/label-studio/health", "/label-studio/setup", "/label-studio/predict",
)  # fmt: skip
# The paths whose examples are for a classifier of good and bad reviews.
OF_REVIEWS = ("/", "/predict", "/v1/systemone", "/info", "/health", "/metrics", *PATHS[-3:])


def run(command: str) -> Any:
    """The JSON that a curl command prints; fails if the service refuses."""
    words = shlex.split(command)
    assert words[0] == "curl", command
    done = subprocess.run(
        [words[0], "-sS", "--fail-with-body", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout


def path_of(command: str) -> str:
    """The path in the URL of a curl command."""
    (url,) = (word for word in shlex.split(command) if word.startswith("http"))
    return "/" + url.removeprefix("http://").partition("/")[2]


def test_the_document_lists_every_endpoint(reviews: Running) -> None:
    with reviews.client() as client:
        document = client.get("/openapi.json").json()
    assert set(PATHS) <= document["paths"].keys()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == {"inputs": "a lovely phone"}
    assert body["schema"]["properties"]["truncate"]["default"] is False


def test_the_examples_of_the_page_work(reviews: Running) -> None:
    with reviews.client() as client:
        page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r'(?:src|href)="(\w+:)?//', page.text) == [], "nothing is loaded from other hosts"
    commands = [unescape(found) for found in re.findall(r"<pre><code>(.*?)</code></pre>", page.text)]
    assert {path_of(command) for command in commands} >= set(PATHS)
    (predict,) = (command for command in commands if path_of(command) == "/predict")
    assert {one["label"] for one in run(predict)} == {"good", "bad"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        (
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "string or list of strings",
        ),
        (
            {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
            "list of lists of strings",
        ),
        ({"enum": ["float", "base64"]}, '"float" or "base64"'),
        ({}, "any value"),
    ],
)
def test_types_are_described_in_words(schema: dict[str, Any], words: str) -> None:
    assert type_of(schema) == words


def test_the_commands_of_the_documentation_work(reviews: Running, every: Running) -> None:
    text = SERVING.read_text(encoding="utf-8")
    found = re.findall(r"^curl http://localhost:8000/.*(?:\\\n.*)*", text, re.MULTILINE)
    tried = set()
    for command in (command.replace("\\\n", " ") for command in found):
        path = path_of(command)
        if path in PATHS:
            service = reviews if path in OF_REVIEWS else every
            assert run(command.replace("http://localhost:8000", service.url)) != []
            tried.add(path)
    assert tried == set(PATHS)
