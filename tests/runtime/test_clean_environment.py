"""`pip install 'bertune[runtime]'` into an empty environment installs no torch, and exports predict there."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported import Exported

import bertune as bt
from bertune.optional_packages import PACKAGES
from tiny import Result, process, reviews

pytestmark = pytest.mark.slow  # it installs packages
ROOT = Path(__file__).parents[2]
TEXTS = [text for text, _ in reviews(20, 9)]
# In the output of pip where it cannot reach a registry.
NO_REGISTRY = (
    "Retrying (Retry",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
)
HEAVY = {"scipy", "pandas", "sympy", "numba", "tensorflow"}
MOST_MEGABYTES = 250  # 160 without bytecode: NumPy and ONNX Runtime are the largest


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with bertune[runtime] and nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-compile", "--retries", "1"]
    done = process(*pip, "--constraint", ROOT / "constraints.txt", f"{ROOT}[runtime]", cwd=folder)
    if done.code and any(sign in done.err + done.out for sign in NO_REGISTRY):
        pytest.skip("pip cannot reach a package registry")
    done.fine()
    return python


def run_in(environment: Path, *arguments: object, cwd: Path, stdin: str = "") -> Result:
    """A command of bertune in the environment, which sees no other packages."""
    return process(environment.with_name("bertune"), *arguments, cwd=cwd, env={"PYTHONPATH": ""}, stdin=stdin)


def test_torch_and_everything_heavier_is_absent(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.metadata as m, json, pathlib, sysconfig\n"
        "files = [p for p in pathlib.Path(sysconfig.get_path('purelib')).rglob('*') if p.is_file()]\n"
        "names = sorted(d.name for d in m.distributions())\n"
        "print(json.dumps([names, sum(p.stat().st_size for p in files) / 1e6]))"
    )
    names, megabytes = process(environment, "-c", code, cwd=tmp_path, env={"PYTHONPATH": ""}).fine().json
    installed = {name.lower().replace("-", "_") for name in names}
    others = {p for extra in PACKAGES.keys() - {"runtime"} for p in PACKAGES[extra]}
    # The tokenizers of Hugging Face require the small package that downloads them.
    assert installed & (others | HEAVY | {"scikit_learn"}) <= {"huggingface_hub"}
    assert {"bertune", "onnxruntime", "tokenizers", "numpy"} <= installed
    assert megabytes < MOST_MEGABYTES


def test_an_export_predicts_what_the_trained_model_predicts(
    environment: Path, classifier: Exported, tmp_path: Path
) -> None:
    ended = run_in(environment, "predict", classifier.export, "-", cwd=tmp_path, stdin="\n".join(TEXTS))
    lines = ended.fine().lines
    trained = bt.load(classifier.run, settings={"machine.precision": "fp32"})
    assert [line["text"] for line in lines] == TEXTS
    assert [line["label"] for line in lines] == [p.label for p in trained.predict(TEXTS)]
    found = [[line["probabilities"][label] for label in trained.labels] for line in lines]
    np.testing.assert_allclose(found, trained.predict_proba(TEXTS), atol=1e-5)


def test_an_export_is_verified(environment: Path, classifier: Exported, tmp_path: Path) -> None:
    found = run_in(environment, "verify", classifier.export, "--json", cwd=tmp_path).fine().json
    assert found["flips"] == 0


def test_a_run_folder_names_the_extra(environment: Path, classifier: Exported, tmp_path: Path) -> None:
    ended = run_in(environment, "predict", classifier.run, "-", cwd=tmp_path, stdin="a text")
    assert (ended.code, ended.out) == (1, "")
    assert "torch is needed" in ended.err and "pip install 'bertune[train]'" in ended.err
    assert ended.err.count("\n") == 1
