"""A loaded export behaves like a loaded run: shared by threads, pickled, on the machine that is set."""

import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import bertune as bt
from bertune.errors import ConfigError
from bertune.predict.onnx_backend import OnnxBackend
from tiny import bertune
from tiny_exports import Exports, rows_of
from trainings import train

KIND = "classification"
TEXTS = [" ".join(row["text"] for row in rows_of(KIND)[: 1 + n % 5]) for n in range(40)]


@pytest.fixture(scope="module")
def export(exports: Exports) -> Path:
    return exports.export(KIND)


@pytest.fixture(scope="module")
def model(export: Path) -> bt.Model:
    return bt.load(export)


def test_a_text_has_the_same_result_in_every_batch(model: bt.Model) -> None:
    alone = np.concatenate([model.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(model.predict_proba(TEXTS), alone, atol=1e-6)


def test_small_batches_give_the_same_results(export: Path, model: bt.Model) -> None:
    small = bt.load(export, settings={"machine.micro_batch_tokens": 1})
    assert small.backend.runtime.micro_batch_tokens == 1
    np.testing.assert_allclose(small.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-6)


def test_threads_share_an_export(model: bt.Model) -> None:
    expected = model.predict_proba(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(model.predict_proba, [TEXTS] * 8):
            np.testing.assert_array_equal(found, expected)


def test_an_export_can_be_pickled(export: Path, model: bt.Model) -> None:
    stored = pickle.dumps(model)
    assert len(stored) < 100_000, "the graph is read from its file again"
    copy = pickle.loads(stored)
    np.testing.assert_array_equal(copy.predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"machine.precision": "bf16"}, r"this one \(onnx\) has fp32\. Remove the setting"),
        ({"machine.device": "cuda"}, "the installed onnxruntime cannot use a GPU"),
        ({"machine.device": "mps"}, "a graph runs on cpu, cuda or cuda:N"),
    ],
)
def test_a_machine_that_a_graph_cannot_use_is_refused(
    setting: dict[str, Any], message: str, export: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        bt.load(export, settings=setting)


def test_the_settings_that_a_graph_has_anyway_are_accepted(export: Path) -> None:
    settings = {"machine.precision": "fp32", "machine.device": "cpu", "machine.threads": 1}
    backend = bt.load(export, settings=settings).backend
    assert isinstance(backend, OnnxBackend)
    assert backend.graph.session.get_session_options().intra_op_num_threads == 1


def test_precision_is_no_setting_of_an_export(exports: Exports) -> None:
    found = bertune("export", exports.run(KIND), "machine.precision=bf16")
    assert found.code == 3
    assert "machine.precision does not apply to an export" in found.err
    found = bertune("export", exports.run(KIND), "gate.accuracy=1")
    assert found.code == 3
    assert "gate.accuracy does not apply to an export. Remove the setting" in found.err


@pytest.fixture(scope="module")
def weights(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The export of the weights alone, in one of the two formats."""
    folder = tmp_path_factory.mktemp("weights")

    def exported(name: str) -> Path:
        if not (folder / name).exists():
            loose = {"export.max_difference": 1.0, "export.max_flips": 1.0, "export.reference_rows": 2}
            bt.export(exports.run(KIND), name, settings=loose, out=folder / name)
        return folder / name

    return exported


@pytest.mark.parametrize(
    ("name", "kind"), [("safetensors", torch.float32), ("safetensors-bf16", torch.bfloat16)]
)
def test_weights_are_loaded_by_transformers_and_by_bertune(
    name: str, kind: torch.dtype, weights: Callable[[str], Path], exports: Exports
) -> None:
    export = weights(name)
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(export)
    assert hf.dtype == kind
    trained = transformers.AutoModelForSequenceClassification.from_pretrained(exports.run(KIND) / "model")
    for one, other in zip(trained.state_dict().values(), hf.state_dict().values(), strict=True):
        assert torch.equal(one.to(kind), other)
    found = bt.load(export, settings={"machine.precision": "fp32"}).predict_proba(TEXTS)
    expected = bt.load(exports.run(KIND), settings={"machine.precision": "fp32"}).predict_proba(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6 if kind == torch.float32 else 0.05)


def test_the_readme_of_weights_names_what_loads_them(weights: Callable[[str], Path]) -> None:
    text = (weights("safetensors") / "README.md").read_text(encoding="utf-8")
    assert "pip install 'bertune[train]'" in text
    assert "without torch" not in text and "Run it without bertune" not in text


def test_as_many_validation_rows_are_stored_as_set(weights: Callable[[str], Path]) -> None:
    export = weights("safetensors")
    lines = (export / "reference" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [rows_of(KIND)[i] for i in (0, len(rows_of(KIND)) // 2)]
    assert bertune("verify", export, "--json").fine().json["rows"] == 2


def test_without_stored_rows_an_export_contains_no_data(exports: Exports, tmp_path: Path) -> None:
    settings = {"export.reference_rows": 0}
    export = bt.export(exports.run(KIND), "safetensors", settings=settings, out=tmp_path / "x").path
    assert not (export / "reference").exists()
    content = b"".join(path.read_bytes() for path in export.rglob("*") if path.is_file())
    assert not any(row["text"].encode() in content for row in rows_of(KIND))
    found = bertune("verify", export)
    assert found.code == 3 and "export.reference_rows=0" in found.err


def test_data_that_changed_is_refused(exports: Exports, tmp_path: Path) -> None:
    changed = [{**row, "text": f"{row['text']} indeed"} for row in rows_of(KIND)]
    file = tmp_path / "changed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in changed), encoding="utf-8")
    found = bertune("export", exports.run(KIND), "--to", "safetensors", f"data.validation={file}")
    assert found.code == 3
    assert "the validation rows differ from those used in training" in found.err


def test_data_passed_from_python_must_be_in_a_file(exports: Exports, tmp_path: Path) -> None:
    rows = rows_of(KIND)
    overrides = {"model.name": str(exports.encoder), "train.epochs": 1, "machine.threads": 1}
    texts, labels = [row["text"] for row in rows] * 3, [row["label"] for row in rows] * 3
    run, _ = train(texts, tmp_path / "run", overrides, labels=labels)
    found = bertune("export", run.path, "--to", "safetensors")
    assert found.code == 3
    assert "trained on data passed from Python" in found.err and "set data.train=FILE" in found.err
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows * 3), encoding="utf-8")
    bertune("export", run.path, "--to", "safetensors", f"data.train={file}").fine()


def test_files_that_moved_are_named_in_settings(exports: Exports, tmp_path: Path) -> None:
    run = shutil.copytree(exports.run(KIND), tmp_path / "run")
    config = (run / "config.toml").read_text(encoding="utf-8")
    assert str(exports.folder) in config
    moved = shutil.copy(exports.folder / f"{KIND}.jsonl", tmp_path / "moved.jsonl")
    said: list[str] = []
    settings = {"data.train": str(moved), "data.validation": str(moved)}
    bt.export(run, "safetensors", settings=settings, on_progress=said.append)
    assert said[0] == "reading the validation rows"
    rows = (run / "export" / "safetensors" / "reference" / "reference.json").read_text(encoding="utf-8")
    assert "moved.jsonl" in rows and str(tmp_path) not in rows


def test_only_a_run_is_exported(exports: Exports, tmp_path: Path) -> None:
    found = bertune("export", exports.run(KIND) / "model")
    assert found.code == 3 and "is not a run folder" in found.err
