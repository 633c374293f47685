"""Quantization to int8, and the search for the parts of a network that must stay in fp32."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.numpy_helper import from_array, to_array

import bertune as bt
from bertune.errors import GateError
from bertune.export import protos
from bertune.export.formats import Tolerance
from bertune.export.gate import Examples, Gate
from bertune.export.half import write_half
from bertune.export.int8 import Trial, quantize_within
from bertune.export.quantization import Quantizer, units_of
from bertune.files import read_object
from bertune.metadata import recorded_metadata
from bertune.predict.backend import Backend
from bertune.predict.graphs import Graph, GraphMachine
from bertune.predict.onnx_backend import OnnxBackend
from tiny_exports import Exports, rows_of

KIND = "classification"
SENSITIVE = "bert.encoder.layer.0.output.dense"  # a product whose input gets an outlier
# The probabilities of this model are close to 0 and 1: with the outlier they differ by 8e-4, without by 3e-5.
LIMITS = Tolerance(2e-4, 0.0, 0.05)


@pytest.fixture(scope="module")
def graph(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph in fp32 in which one neuron outputs 10,000 and has no effect.

    Quantized to 256 levels, its neighbours become 0. It is what makes some layers of BERT sensitive.
    """
    path = tmp_path_factory.mktemp("graphs") / "outlier.onnx"
    proto = protos.load(exports.export(KIND) / "onnx" / "model.onnx")
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    product = next(node for node in proto.graph.node if node.name == f"{SENSITIVE}/MatMul")
    changed = {"hf.bert.encoder.layer.0.intermediate.dense.bias": 1e4, product.input[1]: 0.0}
    for name, value in changed.items():
        array = to_array(tensors[name]).copy()
        array[0] = value  # a bias, or the weights of one input
        tensors[name].CopyFrom(from_array(array, name))
    protos.save(proto, path)
    return path


@pytest.fixture(scope="module")
def trial(exports: Exports, graph: Path) -> Trial:
    """What versions of that graph are compared with: itself."""
    model = bt.load(exports.export(KIND))
    metadata = recorded_metadata(exports.export(KIND))
    assert metadata is not None and metadata.export is not None
    export = metadata.export

    def backend(path: Path) -> Backend:
        return OnnxBackend(Graph(path, GraphMachine()), export, model.fitted)

    read = model.tokenize(rows_of(KIND))
    gold = model.fitted.labels
    examples = [replace(e, gold=gold[n % len(gold)]) for n, e in enumerate(read.examples)]
    tokenized = Examples.of(model, examples)
    gate = Gate(examples, tokenized.results(backend(graph), "mcc"), LIMITS)
    return Trial((tokenized, gate), (tokenized, gate), backend)


def test_the_parts_of_a_network_are_those_with_the_same_input(graph: Path) -> None:
    units = units_of(protos.load(graph))
    products = [unit.modules for unit in units if not unit.is_table]
    layer = "bert.encoder.layer.0."  # the last one, which computes the query of the first token only
    assert products == [
        [f"{layer}attention.self.query"],
        [f"{layer}attention.self.{part}" for part in ("key", "value")],
        [f"{layer}attention.output.dense"],
        [f"{layer}intermediate.dense"],
        [SENSITIVE],
        ["bert.pooler.dense"],
        ["classifier"],
    ]
    tables = {module for unit in units if unit.is_table for module in unit.modules}
    kinds = ("word", "position", "token_type")
    assert tables == {f"bert.embeddings.{kind}_embeddings" for kind in kinds}
    assert units[-1].weights == 36 * 2


def test_only_the_part_that_hurts_stays_in_fp32(graph: Path, trial: Trial, tmp_path: Path) -> None:
    said: list[str] = []
    quantizer = Quantizer(graph, tmp_path)
    kept = quantize_within(quantizer, graph, tmp_path / "q.onnx", trial, said.append)
    assert [unit.modules for unit in kept] == [[SENSITIVE]]
    assert trial.problems(tmp_path / "q.onnx") == []
    types = [node.op_type for node in protos.load(tmp_path / "q.onnx").graph.node]
    assert types.count("MatMulInteger") == 7  # of eight weights
    assert said[0].startswith("with everything in int8, a predicted number differs by")
    assert said[-1] == "with 1 part in fp32: within the limits"


def test_nothing_stays_in_fp32_if_nothing_hurts(exports: Exports, trial: Trial, tmp_path: Path) -> None:
    (tokenized, gate), source = trial.some, exports.export(KIND) / "onnx" / "model.onnx"
    expected = tokenized.results(trial.backend(source), "mcc")
    pair = (tokenized, replace(gate, expected=expected, tolerance=Tolerance(0.5, 1.0, 1.0)))
    said: list[str] = []
    quantizer = Quantizer(source, tmp_path)
    found = quantize_within(
        quantizer, source, tmp_path / "q.onnx", replace(trial, some=pair, all=pair), said.append
    )
    assert (found, said) == ([], [])


def test_a_network_that_would_stay_in_fp32_is_refused(graph: Path, trial: Trial, tmp_path: Path) -> None:
    tokenized, gate = trial.some
    strict = (tokenized, replace(gate, tolerance=Tolerance(0.0, 0.0, 0.0)))
    with pytest.raises(GateError) as raised:
        quantize_within(
            Quantizer(graph, tmp_path),
            graph,
            tmp_path / "q.onnx",
            replace(trial, some=strict, all=strict),
            lambda text: None,
        )
    assert re.search(r"Of 10 parts of the network, \d were in fp32\. Use --to onnx-fp16", str(raised.value))


def test_an_export_in_int8_records_what_is_quantized(exports: Exports) -> None:
    export = exports.export(KIND, "onnx-int8")
    parity = read_object(export / "parity.json")
    assert (parity["parts"], parity["parts_in_fp32"]) == (10, [])
    proto = onnx.load(export / "onnx" / "model_quantized.onnx")
    types = [node.op_type for node in proto.graph.node]
    assert types.count("MatMulInteger") == 8
    assert not proto.graph.value_info and not proto.metadata_props
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    per_channel = [t for name, t in weights.items() if name.endswith("_scale") and np.prod(t.dims) > 1]
    assert len(per_channel) == 8
    assert parity["size_mb"]["export"] < 0.5 * parity["size_mb"]["model"]
    assert bt.load(export).backend.runtime.precision == "int8"


def test_activations_have_a_scale_for_each_token(tmp_path: Path) -> None:
    """Compared with NumPy. The activations of one token are a hundred times as large, those of another 0."""
    draw = np.random.default_rng(1)
    weights = draw.normal(size=(6, 4)).astype(np.float32)
    values = draw.normal(size=(2, 3, 6)).astype(np.float32)
    values[0, 2] *= 100
    values[1, 2] = 0
    shape = ["batch_size", "length"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [*shape, 6])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [*shape, 4])],
        [from_array(weights, "w")],
    )
    opset = onnx.helper.make_opsetid("", 20)
    protos.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "full.onnx")
    Quantizer(tmp_path / "full.onnx", tmp_path)(tmp_path / "int8.onnx")
    of_outputs = np.abs(weights).max(0) / 127
    of_tokens = np.maximum(np.abs(values).max(-1, keepdims=True), 1e-30) / 127
    rounded = np.rint(values / of_tokens) @ np.rint(weights / of_outputs)
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx")
    [found] = session.run(["y"], {"x": values})
    np.testing.assert_allclose(found, rounded * of_tokens * of_outputs, rtol=1e-4, atol=1e-6)


def test_an_int8_result_does_not_depend_on_the_other_texts(exports: Exports) -> None:
    model = bt.load(exports.export(KIND, "onnx-int8"))
    sequences = model.tokenize(rows_of(KIND)).sequences
    together = model.backend(sequences).outputs
    alone = [model.backend([sequence]).outputs[0] for sequence in sequences]
    np.testing.assert_allclose(np.stack(together), np.stack(alone), atol=1e-5)


def test_a_conversion_uses_the_graph_of_an_earlier_export(exports: Exports, tmp_path: Path) -> None:
    run = shutil.copytree(exports.run(KIND), tmp_path / "run")
    shutil.rmtree(run / "export", ignore_errors=True)
    shutil.copytree(exports.export(KIND), run / "export" / "onnx")
    said: list[str] = []
    bt.export(run, "onnx-fp16", on_progress=said.append)
    assert any(text.startswith("converting the graph in") for text in said)


def types_of(proto: Any, least: int = 0) -> set[int]:
    return {tensor.data_type for tensor in proto.graph.initializer if np.prod(tensor.dims) >= least}


def test_an_export_in_fp16_has_inputs_and_outputs_in_fp32(exports: Exports) -> None:
    proto = onnx.load(exports.export(KIND, "onnx-fp16") / "onnx" / "model_fp16.onnx")
    assert onnx.TensorProto.FLOAT16 in types_of(proto)
    large = types_of(proto, least=200)
    assert large == {onnx.TensorProto.FLOAT16}
    [logits] = proto.graph.output
    assert logits.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_weights_beyond_the_limit_of_a_file_are_in_a_second_one(
    exports: Exports, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for graphs of more than 2 GB, in every conversion."""
    small = exports.export(KIND) / "onnx" / "model.onnx"
    sequences = trial.some[0].sequences
    expected = trial.backend(small)(sequences).outputs
    monkeypatch.setattr(protos, "_MOST_BYTES", 1000)
    full, int8, half = (tmp_path / f"{name}.onnx" for name in ("full", "int8", "half"))
    protos.save(protos.load(small), full)
    Quantizer(full, tmp_path)(int8)
    write_half(full, half)
    for path in (full, int8, half):
        data = path.with_name(f"{path.name}_data")
        assert protos.files_of(path) == [path, data]
        assert data.stat().st_size > 20_000
        found = trial.backend(path)(sequences).outputs
        np.testing.assert_allclose(np.stack(found), np.stack(expected), atol=0.2)
    assert sorted(tmp_path.glob("*.data")) == []
