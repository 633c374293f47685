"""The code in the README of an export runs with onnxruntime alone and gives the predictions of bertune."""

import ast
import builtins
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertune as bt
from bertune.export.readme import write_readme
from bertune.export.standalone_code import standalone_code
from tiny_exports import EVERY_KIND, Exports

ALLOWED = ("numpy", "numpy.libs", "onnxruntime", "tokenizers")
MOST_STATEMENTS = {"question_answering": 13}  # 11 for the others


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from in which only the ALLOWED packages are installed."""
    numpy = importlib.util.find_spec("numpy")
    assert numpy is not None and numpy.origin is not None
    installed = Path(numpy.origin).parents[1]
    folder = tmp_path_factory.mktemp("packages")
    for name in ALLOWED:
        if (installed / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder


def code_of(export: Path) -> str:
    """The Python block of the README of an export."""
    readme = (export / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def texts_of(code: str) -> Any:
    """The texts that the code predicts."""
    [call] = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".encode_batch")
    ]
    return ast.literal_eval(call.args[0])


def printed(code: str, export: Path, packages: Path) -> list[Any]:
    """What the code prints, one Python value per line, where nothing but `packages` can be imported."""
    isolated = f"import sys\nsys.path.append({str(packages)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", isolated], cwd=export, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [ast.literal_eval(line) for line in done.stdout.splitlines()]


def expected(kind: str, model: bt.Model, texts: Any) -> list[Any]:
    """The predictions of bertune in the form in which the code prints them."""
    if kind == "multiple_choice":
        choices = [text.removeprefix("a question ") for _, text in texts]
        rows = [{"context": texts[0][0], "question": "a question", "choices": choices}]
        return [model.predict(rows)[0].probabilities]
    if kind == "embeddings":
        vectors = model.encode(texts)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [(vectors @ vectors.T).tolist()]
    if kind in ("classification", "multilabel", "pairs"):
        return [list(model.labels), model.predict_proba(texts).tolist()]
    read = model.tokenize(texts)
    outputs = model.backend(read.sequences).outputs
    if kind == "language_modelling":
        [[fillings]] = model.decode(read, outputs, model.fitted.fillings)
        return [[(one["token_str"], one["score"]) for one in fillings]]
    [*predictions] = model.predict(texts)
    if kind == "token_classification":
        found: list[Any] = []
        longest = max(len(s) for s in read.sequences)
        for sequence, logits in zip(read.sequences, outputs, strict=True):
            scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            tokens = model.encoder.tokenizer.tokens(sequence.ids)
            found += [tokens + ["[PAD]"] * (longest - len(tokens)), list(model.labels), scores.tolist()]
        return found
    if kind == "question_answering":
        [answer] = predictions
        best = next(one for one in answer.n_best if one["answer"] is not None)
        return [best["answer"], answer.no_answer_score]
    return [[p.score if kind == "ranking" else p.value for p in predictions]]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_the_code_predicts_the_same_with_onnxruntime_alone(
    kind: str, exports: Exports, packages: Path
) -> None:
    export = exports.export(kind)
    code = code_of(export)
    assert len(ast.parse(code).body) <= MOST_STATEMENTS.get(kind, 11)
    found = printed(code, export, packages)
    wanted = expected(kind, bt.load(export), texts_of(code))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert_near(one, other)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_the_code_for_a_head_of_the_user_is_valid(kind: str, exports: Exports) -> None:
    model = bt.load(exports.export(kind))
    assert model.metadata.export is not None
    # The graph of a custom head has the inputs of a bare encoder and a single output.
    export = replace(model.metadata.export, auto_class="AutoModel", outputs=("logits",))
    code = standalone_code(replace(model.metadata, export=export), model.fitted, "[MASK]", has_types=False)
    defined = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and is_set(node)}
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and not is_set(node)}
    modules = {"json", "np", "onnxruntime", "pathlib", "tokenizers"}
    assert used <= defined | modules | set(dir(builtins))
    assert "token_type_ids" not in code and '["logits"]' in code


def is_set(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def test_without_stored_rows_the_readme_does_not_mention_them(exports: Exports, tmp_path: Path) -> None:
    export = exports.export("classification")
    model = bt.load(export)
    for name in ("config.json", "tokenizer_config.json"):
        shutil.copy(export / name, tmp_path)
    parity = json.loads((export / "parity.json").read_text())
    write_readme(tmp_path, model.metadata, model.fitted, parity)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "reference" not in text and "bertune verify" not in text
    assert "reference/" in (export / "README.md").read_text(encoding="utf-8")


def assert_near(found: Any, wanted: Any) -> None:
    """The same texts, and numbers that differ by less than 1e-4; scores of padding are ignored."""
    if isinstance(wanted, list | tuple):
        assert len(found) >= len(wanted)
        for one, other in zip(found, wanted, strict=False):
            assert_near(one, other)
    else:
        assert found == (pytest.approx(wanted, abs=1e-4) if isinstance(wanted, float) else wanted)
