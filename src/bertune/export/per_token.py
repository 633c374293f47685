"""Rewrite a dynamically quantized graph so that activations have a scale per token.

ONNX Runtime's dynamic quantizer computes one range for a whole tensor of activations. The result for a text
then depends on the other texts of its batch, and a token with large activations reduces the precision of all
others. A scale per token (Yao et al. 2022, ZeroQuant, section 3.2) avoids both.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

# Inputs of the new nodes. Activations are symmetric: 8 bits hold -127 to 127, stored as uint8 with 128 added.
# The smallest range avoids a division by zero for tokens whose activations are all 0.
_AXIS, _SMALLEST, _LARGEST, _ONE, _ZERO = (
    f"per_token.{name}" for name in ("axis", "smallest", "largest", "one", "zero_point")
)
_CONSTANTS: dict[str, Any] = {
    _AXIS: np.array([-1], np.int64),
    _SMALLEST: np.array(1e-30, np.float32),
    _LARGEST: np.array(127, np.float32),
    _ONE: np.array(1, np.float32),
    _ZERO: np.array(128, np.uint8),
}


def scale_each_token(proto: Any) -> None:
    """Replace the per-tensor ranges in a graph from ONNX Runtime's dynamic quantizer by per-token scales.

    The new nodes are standard ONNX operators and require opset 18.
    """
    from onnx.numpy_helper import from_array
    from onnxruntime.quantization.onnx_model import ONNXModel

    graph = proto.graph
    users: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    dynamic = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    if not dynamic:
        return
    graph.initializer.extend(from_array(value, name) for name, value in _CONSTANTS.items())
    for quantization in dynamic:
        quantized, scale, _ = quantization.output
        for product in users[quantized]:
            _scale_product(graph, product, scale, users)
        graph.node.extend(_quantized(quantization.input[0], quantized, scale))
        graph.node.remove(quantization)
    ONNXModel(proto).topological_sort()


def _quantized(values: str, quantized: str, scale: str) -> Iterator[Any]:
    """The nodes that compute the scale of each token, [..., 1], and quantize the activations."""
    from onnx.helper import make_node

    absolute, peak, positive, scaled = (
        f"{values}.{name}" for name in ("absolute", "peak", "positive", "scaled")
    )
    steps = (
        ("Abs", [values], absolute),
        ("ReduceMax", [absolute, _AXIS], peak),  # keeps the axis
        ("Max", [peak, _SMALLEST], positive),
        ("Div", [positive, _LARGEST], scale),
        ("Div", [values, scale], scaled),
        ("QuantizeLinear", [scaled, _ONE, _ZERO], quantized),
    )
    for operator, inputs, output in steps:
        yield make_node(operator, inputs, [output], name=f"{output}/{operator}")


def _scale_product(graph: Any, product: Any, scale: str, users: dict[str, list[Any]]) -> None:
    """Multiply an integer product by the token scales, then by the output scales.

    The quantizer's graph multiplies the two scales first, which would be a large matrix with token scales.
    """
    from onnx.helper import make_node

    [cast] = users[product.output[0]]
    [scaled] = users[cast.output[0]]
    both = next(node for node in users[scale] if node.output[0] in scaled.input)
    [of_outputs] = (name for name in both.input if name != scale)
    product.input[2] = _ZERO
    rows = f"{cast.output[0]}.scaled"
    graph.node.append(make_node("Mul", [cast.output[0], scale], [rows], name=f"{scaled.name}_tokens"))
    scaled.input[:] = [rows, of_outputs]
    graph.node.remove(both)
