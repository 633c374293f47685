"""An export that does not give the results of the model is refused, and what was there before is kept."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import bertune as bt
from bertune.cli.interruption import interruptible
from bertune.export.staging import building
from bertune.metadata import recorded_metadata, write_metadata
from tiny import bertune, contents
from tiny_exports import Exports

KIND = "classification"


def sealed_again(folder: Path) -> None:
    """The checksums of a folder whose files were changed on purpose."""
    metadata = recorded_metadata(folder)
    assert metadata is not None
    write_metadata(folder, metadata)


def changed_weight(folder: Path, change: Callable[[Any], Any]) -> None:
    """The weights of the classifier, changed in the graph."""
    path = folder / "onnx" / "model.onnx"
    graph = onnx.load(path)
    [weight] = [t for t in graph.graph.initializer if t.name == "hf.classifier.weight"]
    weight.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(weight)), weight.name))
    onnx.save(graph, path)


def flipped_weights(folder: Path) -> None:
    changed_weight(folder, lambda weight: -weight)


def slightly_other_weights(folder: Path) -> None:
    changed_weight(folder, lambda weight: weight * np.float32(1.01))


def weights_not_finite(folder: Path) -> None:
    changed_weight(folder, lambda weight: weight * np.float32(np.nan))


def no_graph(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").write_bytes(b"not a graph")


def swapped_tokenizer(folder: Path) -> None:
    """Every word has the ID of another one."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    special = {word for word in words if word.startswith("[")}
    others = [word for word in words if word not in special]
    ids = [words[word] for word in others]
    words.update(zip(others, [*ids[1:], ids[0]], strict=True))
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def tokenizer_of_a_larger_model(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    size = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"] |= {f"more{n}": size + n for n in range(10)}
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def other_reference(folder: Path) -> None:
    path = folder / "reference" / "predictions.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"label": "', '"label": "not '), encoding="utf-8"
    )


@pytest.fixture
def copy(exports: Exports, tmp_path: Path) -> Path:
    """An export to damage."""
    return shutil.copytree(exports.export(KIND), tmp_path / "export")


DAMAGES = {
    flipped_weights: "predictions differ",
    slightly_other_weights: "export.max_difference",
    weights_not_finite: "NaN",
    no_graph: "not a graph",
    swapped_tokenizer: "export.max_difference",
    tokenizer_of_a_larger_model: "tokens",
    other_reference: "predictions differ",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_changed_export_is_refused_even_with_new_checksums(
    damage: Callable[[Path], None], copy: Path
) -> None:
    damage(copy)
    found = bertune("verify", copy)
    assert found.code == 5
    assert "does not match its checksum" in found.err
    sealed_again(copy)
    found = bertune("verify", copy)
    assert (found.code, found.out) == (5, "")
    assert DAMAGES[damage] in found.err
    assert found.err.count("\n") == 1


def test_an_intact_export_is_verified(copy: Path) -> None:
    found = bertune("verify", copy, "--json").fine().json
    assert (found["flips"], found["format"]) == (0, "onnx")
    assert found["scores"]["mcc"]["export"] == found["scores"]["mcc"]["model"]


def test_removed_files_are_noticed(copy: Path) -> None:
    shutil.rmtree(copy / "reference")
    assert bertune("verify", copy).code == 5
    (copy / "bertune.json").unlink()
    found = bertune("verify", copy)
    assert found.code == 3 and "is not an export" in found.err


def test_metadata_that_was_changed_are_noticed(copy: Path) -> None:
    path = copy / "bertune.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"onnx/model.onnx"', '"onnx/other.onnx"', 1))
    assert bertune("verify", copy).code == 5


def test_what_is_no_export_cannot_be_verified(exports: Exports, tmp_path: Path) -> None:
    for folder in (exports.run(KIND), tmp_path / "nothing"):
        found = bertune("verify", folder)
        assert found.code == 3
        assert "is not an export" in found.err


@pytest.fixture(scope="module")
def run(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an export in fp32, from which others are converted."""
    exports.export(KIND)
    return shutil.copytree(exports.run(KIND), tmp_path_factory.mktemp("runs") / "run")


def test_a_refused_export_leaves_nothing_and_an_earlier_one_is_kept(run: Path) -> None:
    too_strict = ("--to", "onnx-fp16", "export.max_difference=0", "export.max_flips=0")
    before = contents(run)
    found = bertune("export", run, *too_strict)
    assert (found.code, found.out) == (5, "")
    assert "(export.max_difference=0)" in found.err
    assert contents(run) == before
    bertune("export", run, "--to", "onnx-fp16").fine()
    before = contents(run)
    assert bertune("export", run, *too_strict).code == 5
    assert contents(run) == before


def test_a_refused_export_to_another_place_creates_no_folder(run: Path, tmp_path: Path) -> None:
    strict = ("--to", "onnx-fp16", "export.max_difference=0", "--out", tmp_path / "exports" / "half")
    assert bertune("export", run, *strict).code == 5
    assert list(tmp_path.iterdir()) == []


def test_only_an_export_is_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    found = bertune("export", run, "--to", "safetensors", "--out", tmp_path / "mine")
    assert found.code == 3 and "already exists and is not an export" in found.err
    assert contents(tmp_path / "mine") == {"notes.txt": b"mine"}
    out = tmp_path / "weights"
    for name in ("safetensors", "safetensors-bf16"):
        bertune("export", run, "--to", name, "--out", out).fine()
    assert json.loads((out / "parity.json").read_bytes())["format"] == "safetensors-bf16"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "weights"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_export_leaves_nothing(number: int, run: Path, tmp_path: Path) -> None:
    seen = []

    def stop(text: str) -> None:
        if text.startswith("comparing"):
            seen.extend(contents(tmp_path))
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        bt.export(run, "safetensors", out=tmp_path / "exports" / "x", on_progress=stop)
    assert any(name.endswith("model.safetensors") for name in seen)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with building(tmp_path / "x") as staging:
        around = staging.export.parent
    assert not around.exists()
    (around / "export" / "onnx").mkdir(parents=True)
    (around / "export" / "onnx" / "model.onnx").write_bytes(b"half")
    with building(tmp_path / "x") as staging:
        assert list(staging.export.iterdir()) == []
        (staging.export / "new").write_text("whole")
    assert contents(tmp_path) == {"x": b"", "x/new": b"whole"}


def test_two_exports_to_the_same_folder_exclude_each_other(run: Path, tmp_path: Path) -> None:
    with building(tmp_path / "x") as staging:
        found = bertune("export", run, "--to", "safetensors", "--out", tmp_path / "x")
        assert found.code == 3 and "another process is exporting" in found.err
        assert staging.export.is_dir()
