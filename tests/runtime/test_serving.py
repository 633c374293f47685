"""`bertune serve` without torch: exports are served, and of runs their exports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from exported import Exported

import bertune as bt
from bertune.optional_packages import PACKAGES
from tiny import reviews

TEXTS = [text for text, _ in reviews(20, 9)]
ABSENT = sorted(
    {p for e in ("train", "export", "parquet", "bench") for p in PACKAGES[e]} - {*PACKAGES["serve"]}
)
SCRIPT = (
    "import sys\n"
    "from without_packages import Absent\n"
    f"sys.meta_path.insert(0, Absent({ABSENT!r}))\n"
    "from bertune.cli import main\n"
    "main()"
)


def test_an_export_and_a_run_are_served_without_torch(
    classifier: Exported, embedder: Exported, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(classifier.run, run)
    shutil.copytree(classifier.export, run / "export" / "onnx")
    arguments = [f"export={classifier.export}", f"run={run}", f"vectors={embedder.export}"]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "serve", *arguments, "--port", "0", "machine.threads=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        facts = {model.pop("name"): model for model in httpx.get(f"{url}/models").json()["models"]}
        assert {name: fact["backend"] for name, fact in facts.items()} == dict.fromkeys(facts, "onnx")
        assert set(facts) == {"export", "run", "vectors"}
        expected = bt.load(classifier.run, settings={"machine.precision": "fp32"}).predict(TEXTS)
        for name in ("export", "run"):
            found = httpx.post(f"{url}/models/{name}/predict", json={"rows": TEXTS}).json()["predictions"]
            assert [one["label"] for one in found] == [one.label for one in expected]
            for one, other in zip(found, expected, strict=True):
                assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)
        vectors = httpx.post(f"{url}/models/vectors/predict", json={"rows": TEXTS}).json()["predictions"]
        assert {len(one["vector"]) for one in vectors} == {facts["vectors"]["vector_size"]}
    finally:
        process.kill()
        process.communicate()
