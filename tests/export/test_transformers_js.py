"""Exports run with transformers.js in Node, offline, and give the predictions of bertune."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import bertune as bt
from tiny_exports import UNUSUAL, Exports

NODE = Path(__file__).parent / "node"
LEAST_NODE = 20
# In node_modules, but not used by Node on this platform: 300 of 470 MB.
UNUSED = ("onnxruntime-web", "onnxruntime-node/bin/napi-v6/darwin", "onnxruntime-node/bin/napi-v6/win32")
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")
FILES = {"onnx": "fp32", "onnx-int8": "q8"}  # dtype of transformers.js, by the format of the export
TASKS = {
    "classification": ("text-classification", {"top_k": None}),
    "token_classification": ("token-classification", {"ignore_labels": []}),
    "embeddings": ("feature-extraction", {"pooling": "mean", "normalize": True}),
}
TEXTS = ["Ada King lives in Paris", UNUSUAL, "great phone, it broke after one week", "where is my parcel"]


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder node_modules with transformers.js, installed once and kept outside the repository."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"transformers.js needs {program}, which is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip("v\n").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"transformers.js needs Node {LEAST_NODE} or newer, found {version.strip()}")
    lock = (NODE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bertune-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, made)
        # The install script of onnxruntime-node would download CUDA libraries.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        code = re.search(r"npm error code (\w+)", done.stderr)
        if code and code[1] in OFFLINE:
            pytest.skip(f"transformers.js cannot be installed: the npm registry is out of reach ({code[1]})")
        assert done.returncode == 0, done.stderr
        for name in UNUSED:
            shutil.rmtree(Path(made) / "node_modules" / name, ignore_errors=True)
        shutil.copytree(made, folder, symlinks=True)


@pytest.fixture(scope="module")
def results(packages: Path, exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What transformers.js predicts for TEXTS, by kind and format."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(packages)
    shutil.copy(NODE / "predict.mjs", folder)
    jobs = []
    for kind, (task, options) in TASKS.items():
        for name, dtype in FILES.items():
            (folder / f"{kind}-{name}").symlink_to(exports.export(kind, name))
            model = f"{kind}-{name}"
            jobs.append({"task": task, "model": model, "dtype": dtype, "texts": TEXTS, "options": options})
    done = subprocess.run(
        ["node", "predict.mjs"],
        input=json.dumps({"folder": str(folder), "jobs": jobs}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {job["model"]: result for job, result in zip(jobs, found, strict=True)}


# The int8 graph is run by another version of ONNX Runtime there, which may round differently.
near = pytest.mark.parametrize(("name", "largest"), [("onnx", 1e-4), ("onnx-int8", 1e-3)])


@near
def test_the_classifier_gives_the_same_probabilities(
    results: dict[str, Any], exports: Exports, name: str, largest: float
) -> None:
    model = bt.load(exports.export("classification", name))
    for text, scores in zip(TEXTS, results[f"classification-{name}"], strict=True):
        [expected] = model.predict([text])
        assert {s["label"]: s["score"] for s in scores} == pytest.approx(expected.probabilities, abs=largest)
        assert scores[0]["label"] == expected.label


@near
def test_every_token_gets_the_same_label_and_score(
    results: dict[str, Any], exports: Exports, name: str, largest: float
) -> None:
    model = bt.load(exports.export("token_classification", name))
    labels = set()
    for text, tokens in zip(TEXTS, results[f"token_classification-{name}"], strict=True):
        [probabilities] = token_probabilities(model, text)
        assert [t["index"] for t in tokens] == list(range(1, len(probabilities) - 1))
        for token in tokens:
            row = probabilities[token["index"]]
            assert token["entity"] == model.labels[int(np.argmax(row))]
            assert token["score"] == pytest.approx(float(row.max()), abs=largest)
            labels.add(token["entity"])
    assert len(labels) > 2, "the model predicts the same for all tokens, so this proves little"


def test_the_entities_of_a_text_are_the_same(results: dict[str, Any], exports: Exports) -> None:
    model = bt.load(exports.export("token_classification"))
    [prediction] = model.predict([TEXTS[0]])
    tokens = results["token_classification-onnx"][0]
    # The first token of a word decides about the word.
    assert [t["entity"] for t in tokens if not t["word"].startswith("##")] == prediction.tags
    assert prediction.spans


def token_probabilities(model: bt.Model, *texts: str) -> Sequence[Any]:
    """The probabilities of the labels of every token, [L, C] for each text."""
    read = model.tokenize(list(texts))
    exponentials = [np.exp(x - x.max(1, keepdims=True)) for x in model.backend(read.sequences).outputs]
    return [x / x.sum(1, keepdims=True) for x in exponentials]


@near
def test_the_vectors_are_the_same(
    results: dict[str, Any], exports: Exports, name: str, largest: float
) -> None:
    model = bt.load(exports.export("embeddings", name))
    for text, vector in zip(TEXTS, results[f"embeddings-{name}"], strict=True):
        [expected] = model.encode([text])
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=largest)
