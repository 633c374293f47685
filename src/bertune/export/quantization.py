"""Quantize a graph to int8: dynamically, with any of its parts left in fp32.

Weights are int8, with a scale per output channel; activations are quantized to uint8 when the graph runs,
with a scale per token.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertune.export import protos
from bertune.export.per_token import scale_each_token

_PREPROCESSED = ("onnx.quant.pre_process", "onnxruntime.quant")  # otherwise the quantizer logs a warning


@dataclass(frozen=True)
class Unit:
    """Weights that are quantized or left in fp32 together.

    They are multiplied by the same input, such as query, key and value of a layer, or are a table of
    embeddings.
    """

    nodes: tuple[str, ...]
    weights: int  # number of weights
    is_table: bool  # whether it is an embedding table, whose rows are looked up

    @property
    def modules(self) -> list[str]:
        """The modules that the nodes belong to."""
        return [node.rpartition("/")[0] or node for node in self.nodes]


def units_of(proto: Any) -> list[Unit]:
    """The units of a graph, in the order in which it computes them."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in proto.graph.initializer}
    together: dict[tuple[bool, str], list[Any]] = defaultdict(list)
    for node in proto.graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in sizes:
            together[False, node.input[0]].append(node)
        elif node.op_type == "Gather" and node.input[0] in sizes:
            together[True, node.input[0]].append(node)
    return [
        Unit(
            nodes=tuple(node.name for node in nodes),
            weights=sum(sizes[node.input[0 if is_table else 1]] for node in nodes),
            is_table=is_table,
        )
        for (is_table, _), nodes in together.items()
    ]


class Quantizer:
    """Writes int8 versions of the graph `source`, with intermediate files in the folder `work`."""

    def __init__(self, source: Path, work: Path) -> None:
        proto = protos.load(source)
        self.units = units_of(proto)
        self._is_large = protos.is_large(source)
        self._prepared = work / "prepared.onnx"
        key, value = _PREPROCESSED
        proto.metadata_props.add(key=key, value=value)
        protos.save(proto, self._prepared)

    def __call__(self, target: Path, kept: Collection[Unit] = ()) -> None:
        """Write a version in which the units `kept` are in fp32."""
        from onnxruntime.quantization import QuantType, quantize_dynamic

        protos.remove(target)
        # The quantizer replaces a Gemm by a MatMul with another name.
        excluded = [name for unit in kept for node in unit.nodes for name in (node, f"{node}_MatMul")]
        quantize_dynamic(
            self._prepared,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            use_external_data_format=self._is_large,
        )
        quantized = protos.load(target)
        scale_each_token(quantized)
        protos.tidy(quantized)
        protos.save(quantized, target)
