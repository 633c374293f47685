"""A graph that reads only the first token computes the last layer for this token only, with the same outputs.

Dimensions: B sequences, L tokens, C outputs.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from onnx import parser, shape_inference
from onnx.numpy_helper import from_array

from bertune.export.first_token import narrow_to_first_token
from bertune.export.graph import write_graph
from tiny_graphs import HEAD, METADATA, MODERNBERT, SIZE, save_classifier

CONSTANTS = {
    "w": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32),
    "shift": np.arange(4, dtype=np.float32),
    "zero": np.array(0),
    "one": np.array(1),
    "axis_0": np.array([0]),
    "axis_1": np.array([1]),
    "axis_2": np.array([2]),
    "axis_3": np.array([3]),
    "pair": np.arange(2, dtype=np.float32),
    "four": np.arange(4, dtype=np.float32),
    "minus_1": np.array([-1]),
    "minus_100": np.array([-100]),
    "heads": np.array([0, 0, 2, 2]),
    "joined": np.array([0, 0, 4]),
    "rows": np.array([-1, 4]),
}
# The computation of `h`, of which the first token is selected.
NARROWED = {
    "elementwise": "product = MatMul(x, w) s = Add(product, shift) h = Gelu(s)",
    "residual": "product = MatMul(x, w) h = Add(product, x)",
    "normalization": "product = MatMul(x, w) h = LayerNormalization(product, shift, shift)",
    "used twice": "product = MatMul(x, w) a = Tanh(product) h = Mul(product, a)",
    "square": "product = MatMul(x, w) h = Mul(product, product)",
    "factor per token": "product = MatMul(x, w) m = ReduceMax(x, axis_2) h = Mul(product, m)",
    "factor per text": "product = MatMul(x, w) m = ReduceMax(x, axis_1) h = Mul(product, m)",
    "attention": """
        product = MatMul(x, w)
        q4 = Reshape(product, heads) q = Transpose <perm = [0, 2, 1, 3]> (q4)
        k4 = Reshape(x, heads) k = Transpose <perm = [0, 2, 3, 1]> (k4)
        v = Transpose <perm = [0, 2, 1, 3]> (k4)
        scores = MatMul(q, k) p = Softmax(scores) c = MatMul(p, v)
        c4 = Transpose <perm = [0, 2, 1, 3]> (c) h = Reshape(c4, joined)""",
    "gate": """
        product = MatMul(x, w)
        a, b = Split <axis = 2, num_outputs = 2> (product) h = Concat <axis = 2> (b, a)""",
    "part of the features": "product = MatMul(x, w) h = Slice(product, axis_1, axis_2, axis_2)",
    "squeezed": """
        product = MatMul(x, w) u = Unsqueeze(x, axis_1) q = Tanh(u) t = Squeeze(q, axis_1)
        h = Add(product, t)""",
}
COMPLETE = {
    "scale of each token": "product = MatMul(x, w) s = Sin(product) h = LayerNormalization(product, s, s)",
    "vector as second factor": """
        product = MatMul(x, w) p4 = Reshape(product, heads) d4 = Concat <axis = 2> (p4, p4)
        h = MatMul(d4, pair)""",
    "vector as first factor": """
        product = MatMul(x, w) p4 = Unsqueeze(product, axis_3) h = MatMul(four, p4)""",
    "softmax over tokens": "product = MatMul(x, w) h = Softmax <axis = 1> (product)",
    "sum over tokens": "product = MatMul(x, w) s = ReduceSum(product, axis_1) h = Add(product, s)",
    "tokens reversed": "product = MatMul(x, w) h = Slice(product, minus_1, minus_100, axis_1, minus_1)",
    "keys": """
        product = MatMul(x, w) k = Transpose <perm = [0, 2, 1]> (product)
        scores = MatMul(x, k) h = MatMul(scores, x)""",
    "output of the graph": "product = MatMul(x, w) all = Tanh(product) h = Neg(all)",
    "tokens of all texts": "product = MatMul(x, w) r = Reshape(product, rows) h = Unsqueeze(r, axis_0)",
}


def built(lines: str, token: str = "zero") -> onnx.ModelProto:
    """The graph of some lines, which selects a token of `h`, with the shapes of its values."""
    outputs = "float[b, c] y, float[b, l, 4] all" if "all =" in lines else "float[b, c] y"
    proto = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 20]> g (float[B, L, 4] x) => ({outputs})
        {{ {lines} y = Gather <axis = 1> (h, {token}) }}"""
    )
    proto.graph.initializer.extend(from_array(value, name) for name, value in CONSTANTS.items())
    return shape_inference.infer_shapes(proto, data_prop=True)


def outputs_of(proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # unused constants
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def tokens_of(proto: onnx.ModelProto, value: str, inputs: dict[str, np.ndarray]) -> int:
    """The number of tokens for which a graph computes a value."""
    seen = onnx.ModelProto()
    seen.CopyFrom(proto)
    seen.graph.output.append(onnx.ValueInfoProto(name=value))
    return outputs_of(seen, inputs)[-1].shape[-2]


@pytest.mark.parametrize("lines", [*NARROWED.values(), *COMPLETE.values()], ids=[*NARROWED, *COMPLETE])
def test_only_what_the_first_token_needs_is_computed(lines: str) -> None:
    proto, changed = built(lines), built(lines)
    narrow_to_first_token(changed)
    onnx.checker.check_model(changed)
    for size in ((1, 1), (1, 5), (3, 5)):
        inputs = {"x": np.random.default_rng(size).normal(size=(*size, 4)).astype(np.float32)}
        for found, expected in zip(outputs_of(changed, inputs), outputs_of(proto, inputs), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert tokens_of(changed, "product", inputs) == (1 if lines in NARROWED.values() else size[1])


def test_another_token_is_not_mistaken_for_the_first() -> None:
    proto = built(NARROWED["elementwise"], token="one")
    before = proto.SerializeToString()
    narrow_to_first_token(proto)
    assert proto.SerializeToString() == before


def test_dimensions_of_unknown_size_are_not_taken_for_equal() -> None:
    """The two axes are exchanged, which their shapes without sizes do not show."""
    proto = built("""
        product = Tanh(x) b = Shape <start = 0, end = 1> (x) l = Shape <start = 1, end = 2> (x)
        c = Shape <start = 2> (x) exchanged = Concat <axis = 0> (l, b, c) h = Reshape(product, exchanged)""")
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    for value in changed.graph.value_info:
        if value.name in ("product", "h"):
            for dimension in value.type.tensor_type.shape.dim[:2]:
                dimension.Clear()
    narrow_to_first_token(changed)
    inputs = {"x": np.arange(24, dtype=np.float32).reshape(3, 2, 4)}
    np.testing.assert_array_equal(*(outputs_of(graph, inputs)[0] for graph in (proto, changed)))


def test_a_graph_is_narrowed_once() -> None:
    changed = built(NARROWED["attention"])
    narrow_to_first_token(changed)
    once = changed.SerializeToString(deterministic=True)
    narrow_to_first_token(changed)
    assert changed.SerializeToString(deterministic=True) == once


# The products of the last layer, from the attention on.
FAMILIES: dict[str, tuple[transformers.PreTrainedConfig, list[str]]] = {
    "electra": (
        transformers.ElectraConfig(**SIZE, pad_token_id=0),
        [
            "attention.self/MatMul",
            "attention.output.dense/MatMul",
            "1.intermediate.dense/MatMul",
            "1.output.dense/MatMul",
        ],
    ),
    "deberta": (
        transformers.DebertaV2Config(
            **SIZE, pad_token_id=0, relative_attention=True, pos_att_type=["p2c", "c2p"]
        ),
        ["attention.output.dense/MatMul", "1.intermediate.dense/MatMul", "1.output.dense/MatMul"],
    ),
    "modernbert": (
        MODERNBERT,
        ["attn/MatMul", "attn.Wo/MatMul", "mlp.Wi/MatMul", "mlp.Wo/MatMul"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_of_a_family_computes_the_first_token(family: str, tmp_path: Path) -> None:
    config, products = FAMILIES[family]
    hf = save_classifier(config, tmp_path)
    write_graph(tmp_path, METADATA, HEAD, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    inputs = {"input_ids": np.arange(5, 15).reshape(2, 5), "attention_mask": np.ones((2, 5), np.int64)}
    inputs["attention_mask"][1, 3:] = 0
    with torch.no_grad():
        expected_BC = hf(**{name: torch.from_numpy(value) for name, value in inputs.items()}).logits.numpy()
    if "token_type_ids" in {value.name for value in proto.graph.input}:
        inputs["token_type_ids"] = np.zeros((2, 5), np.int64)
    np.testing.assert_allclose(outputs_of(proto, inputs)[0], expected_BC, atol=2e-5)
    last = [node for node in proto.graph.node if ".1." in node.name]
    for product in products:
        [node] = (node for node in last if node.name.endswith(product))
        assert tokens_of(proto, node.output[0], inputs) == 1, node.name
