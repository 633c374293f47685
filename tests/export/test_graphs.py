"""Graphs of encoder families, of a user's own head and of weights in several files give the model's outputs.

Dimensions: B texts, L longest, C outputs.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

import bertune as bt
from bertune.errors import ModelError
from bertune.export.graph import write_graph
from bertune.export.weights import size_mb, weights_sha256, write_bf16
from bertune.files import read_object
from bertune.metadata import read_metadata
from bertune.tasks.head_spec import HeadSpec
from tiny import bertune
from tiny_exports import Exports, rows_of
from tiny_graphs import HEAD, METADATA, MODERNBERT, SIZE, save_classifier
from trainings import train

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = {
    "task.name": str(EXAMPLES / "ordinal_task.py"),
    "model.head": str(EXAMPLES / "cls_linear_head.py"),
}
HEAD_OF_LEVELS = HeadSpec("AutoModelForSequenceClassification", 2)
SIZES = ((1, 1), (1, 7), (3, 2), (5, 80))  # B and L
# RoBERTa numbers positions from the padding ID.
FAMILIES = {
    "roberta": transformers.RobertaConfig(
        **{**SIZE, "num_hidden_layers": 1}, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        initializer_range=0.3,
    ),
    "modernbert": MODERNBERT,
}  # fmt: skip


@pytest.fixture(scope="module", params=["roberta", pytest.param("modernbert", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of a family, with its weights in several files."""
    folder = tmp_path_factory.mktemp(request.param)
    save_classifier(FAMILIES[request.param], folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder


def padded(size: tuple[int, int], pad_id: int, names: list[str]) -> dict[str, np.ndarray]:
    """Random inputs [B, L] of different lengths, padded at the end."""
    draw = np.random.default_rng(size)
    lengths_B = draw.integers(1, size[1] + 1, size[0])
    lengths_B[0] = size[1]
    mask_BL = np.arange(size[1]) < lengths_B[:, None]
    ids_BL = np.where(mask_BL, draw.integers(5, 99, size), pad_id)
    types_BL = np.where(mask_BL, draw.integers(0, 2, size), 0)
    values = {"input_ids": ids_BL, "attention_mask": mask_BL.astype(np.int64), "token_type_ids": types_BL}
    return {name: values[name] for name in names}


def test_a_graph_gives_the_outputs_of_transformers(folder: Path, tmp_path: Path) -> None:
    facts = write_graph(folder, METADATA, HEAD, tmp_path / "model.onnx")
    assert facts.pad_id == read_object(folder / "config.json")["pad_token_id"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    names = [value.name for value in session.get_inputs()]
    assert names == ["input_ids", "attention_mask"], "these families have no token types"
    for size in SIZES:
        inputs = padded(size, facts.pad_id, names)
        with torch.no_grad():
            expected_BC = hf(**{k: torch.from_numpy(v) for k, v in inputs.items()}).logits.numpy()
        [found_BC] = session.run(["logits"], inputs)
        np.testing.assert_allclose(found_BC, expected_BC, atol=2e-5)


def test_weights_in_several_files_are_rounded_to_bf16(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    write_bf16(folder, tmp_path)
    full = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    half = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert half.dtype == torch.bfloat16
    for (name, one), other in zip(full.state_dict().items(), half.state_dict().values(), strict=True):
        assert torch.equal(one.to(other.dtype), other), name
    assert size_mb(tmp_path) < 0.6 * size_mb(folder)
    assert weights_sha256(tmp_path) != weights_sha256(folder)


@pytest.fixture(scope="module")
def own_run(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task and a head of the user, on levels from 1 to 5."""
    folder = tmp_path_factory.mktemp("own")
    data = folder / "stars.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows_of(OWN["task.name"])), encoding="utf-8")
    overrides = {
        **OWN,
        "data.validation": str(data),
        "model.name": str(exports.encoder),
        "machine.precision": "fp32",
        "machine.threads": 1,
        "train.epochs": 30,
        "train.lr": 5e-3,
        "train.evaluate_every": 30,
    }
    return train(str(data), folder / "run", overrides)[0].path


def test_a_task_and_a_head_of_the_user_are_exported(own_run: Path) -> None:
    """The head is part of the graph, and the task is named when the export is loaded."""
    export = bt.export(own_run, settings=OWN)
    assert export.parity["primary"] == "qwk"
    task = {"task.name": OWN["task.name"]}
    rows = rows_of(OWN["task.name"])
    model, found = bt.load(own_run, settings=OWN), bt.load(export.path, settings=task)
    for one, other in zip(model.predict(rows), found.predict(rows), strict=True):
        assert one.label == other.label
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-4)
    verified = bertune("verify", export.path, f"task.name={OWN['task.name']}")
    assert verified.code == 0, verified.err
    for folder in (own_run, export.path):
        verb = "export" if folder == own_run else "verify"
        refused = bertune(verb, folder)
        assert refused.code == 3, "a file that is not named is not a fault of the export"
        assert "task.name" in refused.err


def test_a_file_of_the_user_that_moved_is_recorded_by_its_first_name(own_run: Path, tmp_path: Path) -> None:
    moved = {key: str(shutil.copy(path, tmp_path)) for key, path in OWN.items()}
    export = bt.export(own_run, "safetensors", settings=moved, out=tmp_path / "x").path
    assert read_metadata(export).task.name == OWN["task.name"]
    assert bt.load(export, settings=moved).predict(["a waste of money"])
    with Path(moved["task.name"]).open("a") as file:
        file.write("# changed\n")
    with pytest.raises(ModelError, match="differs from the one this model was trained with"):
        bt.load(export, settings=moved)


def test_weights_of_a_head_of_the_user_need_the_head(own_run: Path) -> None:
    export = bt.export(own_run, "safetensors-bf16", settings=OWN).path
    assert sorted(path.name for path in export.glob("*.safetensors")) == [
        "head.safetensors",
        "model.safetensors",
    ]
    with pytest.raises(ModelError, match=r"set model\.head="):
        bt.load(export, settings={"task.name": OWN["task.name"]})
    assert bt.load(export, settings=OWN).predict(["a waste of money"])


@pytest.mark.slow
def test_a_head_that_loops_over_texts_is_refused_with_the_reason(own_run: Path, tmp_path: Path) -> None:
    head = tmp_path / "loop.py"
    head.write_text(
        "import torch\n"
        "class HEAD(torch.nn.Module):\n"
        "    def __init__(self, hidden_size, num_outputs, dropout):\n"
        "        super().__init__()\n"
        "        self.classifier = torch.nn.Linear(hidden_size, num_outputs)\n"
        "    def forward(self, hidden_TH, batch):\n"
        "        texts = hidden_TH.split(batch.lengths_S.tolist())\n"
        "        return torch.stack([self.classifier(text.max(0).values) for text in texts])\n"
    )
    metadata = read_metadata(own_run / "model")
    with pytest.raises(ModelError, match=r"loop\.py must compute with tensors only"):
        write_graph(own_run / "model", replace(metadata, head=str(head)), HEAD_OF_LEVELS, tmp_path / "x.onnx")
