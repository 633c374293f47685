"""Every task is exported, passes the gate, and predicts the same where torch cannot be imported."""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import bertune as bt
from bertune.export.parity import differences
from bertune.files import read_object
from bertune.predict.predictor import plain
from bertune.run import open_run
from tiny import process
from tiny_exports import EVERY_KIND, TESTED_KINDS, Exports, rows_of
from without_torch import BLOCKED

MOST_DIFFERENT = 1e-4
# Predicts rows with exports, in a process in which torch and transformers do not exist.
PREDICTING = (
    f"{BLOCKED}import json\n"
    + """
import bertune
from bertune.predict.predictor import plain
given = json.load(sys.stdin)
found = {
    name: [plain(p) for p in bertune.load(folder).predict(rows)]
    for name, (folder, rows) in given.items()
}
assert not {"torch", "transformers"} & set(sys.modules)
json.dump(found, sys.stdout)
"""
)


@pytest.fixture(scope="module")
def predicted(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Predictions of the export of each tested kind for its rows, computed without torch."""
    given = {kind: (str(exports.export(kind)), rows_of(kind)) for kind in TESTED_KINDS}
    code = process(
        sys.executable, "-c", PREDICTING, cwd=tmp_path_factory.mktemp("cwd"), stdin=json.dumps(given)
    )
    found: dict[str, list[dict[str, Any]]] = code.fine().json
    return found


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_an_export_predicts_without_torch_what_the_model_predicts(
    kind: str, exports: Exports, predicted: dict[str, list[dict[str, Any]]]
) -> None:
    model = bt.load(exports.run(kind), settings={"machine.precision": "fp32"})
    decision = model.fitted.decision
    expected = [json.loads(json.dumps(plain(p))) for p in model.predict(rows_of(kind))]
    assert len(predicted[kind]) == len(expected)
    for one, other in zip(expected, predicted[kind], strict=True):
        assert decision(other) == decision(one)
        assert max(differences(one, other), default=0.0) < MOST_DIFFERENT


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_the_comparison_is_recorded(kind: str, exports: Exports) -> None:
    parity = read_object(exports.export(kind) / "parity.json")
    run = open_run(exports.run(kind))
    assert (parity["rows"], parity["flips"]) == (len(rows_of(kind)), 0)
    assert parity["largest_difference"] < MOST_DIFFERENT
    for name, value in run.manifest["scores"]["validation"].items():
        sides = parity["scores"][name]
        assert sides["model"] == pytest.approx(value, abs=1e-6), name
        assert sides["export"] == pytest.approx(value, abs=1e-4), name
    assert parity["primary"] in parity["scores"]
    for side in ("model", "export"):
        assert parity["speed"][side]["rows_per_second"] > 0
        assert parity["size_mb"][side] > 0


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_graph_has_the_names_and_dimensions_of_the_ecosystem(kind: str, exports: Exports) -> None:
    graph = onnx.load(exports.export(kind) / "onnx" / "model.onnx")
    size = ["batch_size", "sequence_length"]
    if kind == "multiple_choice":
        size.insert(1, "num_choices")
    inputs = {value.name: dimensions(value) for value in graph.graph.input}
    assert inputs == dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), size)
    labels = len(bt.load(exports.export(kind)).labels)
    vocabulary = read_object(exports.export(kind) / "config.json")["vocab_size"]
    expected = {
        "token_classification": {"logits": [*size, labels]},
        "language_modelling": {"logits": [*size, vocabulary]},
        "question_answering": {"start_logits": size, "end_logits": size},
        "multiple_choice": {"logits": size[:2]},
        "embeddings": {"last_hidden_state": [*size, 36], "sentence_embedding": ["batch_size", 36]},
        "regression": {"logits": ["batch_size", 1]},
        "ranking": {"logits": ["batch_size", 1]},
    }.get(kind, {"logits": ["batch_size", labels]})
    assert {value.name: dimensions(value) for value in graph.graph.output} == expected


def dimensions(value: Any) -> list[str | int]:
    """The names or sizes of the dimensions of an input or output."""
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_graph_says_nothing_about_the_machine_that_exported_it(kind: str, exports: Exports) -> None:
    file = exports.export(kind) / "onnx" / "model.onnx"
    graph = onnx.load(file)
    onnx.checker.check_model(graph)
    assert graph.producer_name == "bertune"
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 20)]
    assert not graph.graph.value_info, "inferred shapes contradict those of the quantizer"
    content = file.read_bytes()
    for place in (bt.__file__, onnx.__file__, str(exports.folder)):
        assert str(Path(place).parent).encode() not in content
    names = {node.name for node in graph.graph.node}
    assert len(names) == len(graph.graph.node)
    assert any(name.endswith("encoder.layer.0.output.dense/MatMul") for name in names)
