"""Load, tidy and save ONNX files."""

import ast
import importlib.metadata
from collections import Counter
from pathlib import Path
from typing import Any

# A protobuf file is limited to 2 GiB. Larger weights go to a second file, named as in the ecosystem.
_MOST_BYTES = 1_800_000_000
_DATA_SUFFIX = "_data"  # model.onnx_data
_QUANTIZED_SUFFIX = ".data"  # written by the quantizer
_SCOPES = "pkg.torch.onnx.name_scopes"  # where the exporter records the module that a node belongs to
WRAPPER = "hf."  # the attribute under which the exported module holds the transformers model


def load(path: Path) -> Any:
    """The graph in a file, with its weights."""
    import onnx

    return onnx.load(str(path))


def save(proto: Any, path: Path) -> None:
    """Write a graph, with the weights in a second file if they are too large for one."""
    import onnx

    remove(path)  # onnx would append to the second file
    if size_of(proto) <= _MOST_BYTES:
        onnx.save(proto, str(path))
        return
    data = path.name + _DATA_SUFFIX
    onnx.save(proto, str(path), save_as_external_data=True, all_tensors_to_one_file=True, location=data)


def size_of(proto: Any) -> int:
    """The size of the weights in bytes."""
    return sum(len(tensor.raw_data) for tensor in proto.graph.initializer)


def is_large(path: Path) -> bool:
    """Whether the weights of a graph are in a second file."""
    return len(files_of(path)) > 1


def files_of(path: Path) -> list[Path]:
    """The files of a graph: the graph itself, and its weights if they are in a second file."""
    files = (path, *(path.with_name(path.name + suffix) for suffix in (_DATA_SUFFIX, _QUANTIZED_SUFFIX)))
    return [file for file in files if file.is_file()]


def remove(path: Path) -> None:
    """Remove a graph with its weights, if it exists."""
    for file in files_of(path):
        file.unlink()


def tidy(proto: Any) -> None:
    """Name the nodes after their modules, and remove what only concerns the exporter.

    The exporter records stack traces, which contain the paths of this machine, and inferred shapes, which the
    quantizer contradicts.
    """
    _name_nodes(proto)
    del proto.graph.value_info[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    proto.graph.doc_string = proto.doc_string = ""
    for part in (*proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    proto.graph.name = "bertune"
    proto.producer_name, proto.producer_version = "bertune", importlib.metadata.version("bertune")


def _name_nodes(proto: Any) -> None:
    """Name each node MODULE/OPERATOR, such as encoder.layer.0.output.dense/MatMul."""
    taken: Counter[str] = Counter()
    for node in proto.graph.node:
        scopes = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), None)
        module = "" if scopes is None else _module(ast.literal_eval(scopes))
        name = f"{module}/{node.op_type}" if module else node.name or node.op_type
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name] - 1}"


def _module(scopes: list[str]) -> str:
    """The innermost module of a node; the last scope is the operation itself."""
    return next((scope.removeprefix(WRAPPER) for scope in reversed(scopes[:-1]) if scope), "")
