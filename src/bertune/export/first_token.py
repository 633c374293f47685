"""Compute the last layer of a graph only for the token that the head reads.

The head of a classifier reads the first token of the last layer. Of the other tokens, this layer only needs
the keys and values; their queries, attention outputs and feed-forward outputs are not used.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_TOKENS = 1  # the axis of tokens in hidden states [B, L, H]
_INDEX = "first_token.index"
# Operators that compute each element of the output from one element of each input, with broadcasting.
_ELEMENTWISE = frozenset(
    ("Add", "And", "Cast", "Clip", "Div", "Equal", "Erf", "Exp", "Gelu", "Greater", "GreaterOrEqual",
     "Identity", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu",
     "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh", "Where")
)  # fmt: skip
# Operators that compute each vector along the last axes separately; further inputs are scale and bias.
_PER_VECTOR = frozenset(("LayerNormalization", "LogSoftmax", "RMSNormalization", "Softmax"))
_STANDARD = ("", "ai.onnx")  # domains of the standard operators

Shape = tuple[int | str, ...]  # a symbolic or unknown dimension is a name
Axes = dict[int, int]  # for some inputs of a node, by position: an axis


@dataclass(frozen=True)
class _Use:
    """An input of a node that needs only the first index of an axis of a tensor."""

    node_index: int
    position: int
    axis: int
    is_selection: bool = False  # whether the node itself selects the first index


@dataclass(frozen=True)
class _Operation:
    """A node with what is known about its inputs and its first output."""

    node: Any
    inputs: list[Shape | None]
    output: Shape
    constants: list[Any]  # the values of constant inputs, None for others

    def attribute(self, name: str, default: Any) -> Any:
        """The value of an attribute."""
        return _attribute(self.node, name, default)


def narrow_to_first_token(proto: Any) -> None:
    """Compute only the first token where a graph needs nothing else of its last hidden states.

    Starts where the first token is selected, and follows the computation backwards. An operator is narrowed
    to the first token if it treats the tokens separately and all uses of its result need only the first one.
    The outputs of the graph remain the same, except for rounding. Graphs that do not select the first token
    remain unchanged. `proto` must contain the shapes of its values; those of narrowed values are removed.
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # the branches of a condition may use any value
    values = _Values(graph)
    narrowed, others = _nodes_to_narrow(graph, values)
    for node, axis in narrowed:
        if node.op_type == "Reshape":
            _set_shape(graph, node, axis, values.shapes[node.output[0]])
    if narrowed:
        outputs = {name for node, _ in narrowed for name in node.output}
        kept = [value for value in graph.value_info if value.name not in outputs]
        _insert_selections(graph, others)
        del graph.value_info[:]
        graph.value_info.extend(kept)


class _Values:
    """The tensors of a graph: shapes, constants, and the number of their uses."""

    def __init__(self, graph: Any) -> None:
        inputs = {value.name for value in graph.input}  # which can replace the constant of the same name
        self._constants = {t.name: t for t in graph.initializer if t.name not in inputs}
        self.shapes = dict(_shapes(graph))
        self.num_uses = Counter(output.name for output in graph.output)
        for node in graph.node:
            self.num_uses.update(node.input)

    def constant(self, name: str) -> Any:
        """A constant as an array; None for other tensors."""
        from onnx.numpy_helper import to_array

        return to_array(self._constants[name]) if name in self._constants else None

    def operation(self, node: Any) -> _Operation | None:
        """A node with its shapes; None for nodes without inputs and for outputs of unknown rank."""
        inputs = [self.shapes.get(name) for name in node.input]
        output = self.shapes.get(node.output[0])
        if not inputs or inputs[0] is None or output is None:
            return None
        return _Operation(node, inputs, output, [self.constant(name) for name in node.input])


def _shapes(graph: Any) -> Iterator[tuple[str, Shape]]:
    for tensor in graph.initializer:
        yield tensor.name, tuple(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dimensions = enumerate(value.type.tensor_type.shape.dim)
            yield value.name, tuple(_dimension(d, f"{value.name}:{number}") for number, d in dimensions)


def _dimension(dimension: Any, place: str) -> int | str:
    """A dimension; if it is unknown, its place, so that it is equal to no other one."""
    known = dimension.dim_value if dimension.HasField("dim_value") else place
    return dimension.dim_param or known


def _nodes_to_narrow(graph: Any, values: _Values) -> tuple[list[tuple[Any, int]], dict[str, list[_Use]]]:
    """The nodes to narrow, each with the axis of tokens in its output.

    Also the uses of other tensors for which the first token suffices.
    """
    first_only: dict[str, list[_Use]] = defaultdict(list)  # uses that need only the first token
    narrowed = []
    for index, node in reversed(list(enumerate(graph.node))):
        if _selects_first_token(node, values):
            first_only[node.input[0]].append(_Use(index, 0, _TOKENS, is_selection=True))
            continue
        uses = [use for output in node.output for use in first_only[output]]
        axes = {use.axis for use in uses}
        if len(axes) != 1 or len(uses) < sum(values.num_uses[output] for output in node.output):
            continue
        [axis] = axes
        needed = _narrowed_inputs(node, axis, values)
        if needed is not None:
            narrowed.append((node, axis))
            for output in node.output:
                del first_only[output]
            for position, input_axis in needed.items():
                first_only[node.input[position]].append(_Use(index, position, input_axis))
    return narrowed, first_only


def _selects_first_token(node: Any, values: _Values) -> bool:
    """Whether a node selects the first token of a tensor [B, L, H]."""
    if node.op_type != "Gather" or node.domain not in _STANDARD or _attribute(node, "axis", 0) != _TOKENS:
        return False
    index, shape = values.constant(node.input[1]), values.shapes.get(node.input[0], ())
    return index is not None and index.shape == () and index == 0 and len(shape) == 3


def _narrowed_inputs(node: Any, axis: int, values: _Values) -> Axes | None:
    """The inputs of which only the first index of an axis is needed, if that holds for `axis` of the output.

    None if the operator mixes the indices of the axis, or if it or a shape is unknown. Inputs that are not
    listed are needed as they are.
    """
    operation = values.operation(node) if node.domain in _STANDARD else None
    if operation is None:
        return None
    if node.op_type in _ELEMENTWISE:
        return _of_elementwise(operation, axis)
    if node.op_type in _PER_VECTOR:
        along = operation.attribute("axis", -1) % len(operation.output)
        return _of_elementwise(operation, axis) if axis < along else None
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(operation, axis)


def _of_elementwise(operation: _Operation, axis: int) -> Axes | None:
    needed = {}
    for position, shape in enumerate(operation.inputs):
        if shape is None:
            return None
        input_axis = axis - (len(operation.output) - len(shape))  # dimensions are aligned at the end
        if input_axis < 0 or shape[input_axis] == 1:
            continue
        if shape[input_axis] != operation.output[axis]:
            return None
        needed[position] = input_axis
    return needed


def _of_product(operation: _Operation, axis: int) -> Axes | None:
    first, second = operation.inputs
    rank = len(operation.output)
    if first is None or second is None or min(len(first), len(second)) < 2 or axis >= rank - 1:
        return None
    if axis == rank - 2 or (len(second) == 2 and len(first) == rank):
        return {0: axis - (rank - len(first))}
    return None


def _of_transposition(operation: _Operation, axis: int) -> Axes | None:
    backwards = list(range(len(operation.output)))[::-1]
    return {0: operation.attribute("perm", backwards)[axis]}


def _of_reshaping(operation: _Operation, axis: int) -> Axes | None:
    before, after = operation.inputs[0] or (), operation.output
    is_kept = before[: axis + 1] == after[: axis + 1]
    return {0: axis} if is_kept and all(isinstance(size, int) for size in after[axis + 1 :]) else None


def _of_slice(operation: _Operation, axis: int) -> Axes | None:
    axes = operation.constants[3] if len(operation.constants) > 3 else None
    return None if axes is None or axis in axes % len(operation.output) else {0: axis}


def _of_concatenation(operation: _Operation, axis: int) -> Axes | None:
    if axis == operation.attribute("axis", 0) % len(operation.output):
        return None
    return _of_elementwise(operation, axis)


def _of_split(operation: _Operation, axis: int) -> Axes | None:
    return None if axis == operation.attribute("axis", 0) % len(operation.output) else {0: axis}


def _of_squeezing(operation: _Operation, axis: int) -> Axes | None:
    axes = operation.constants[1] if len(operation.constants) > 1 else None
    rank = len(operation.inputs[0] or ())
    if axes is None:
        return None
    return {0: [number for number in range(rank) if number not in axes % rank][axis]}


_RULES: dict[str, Callable[[_Operation, int], Axes | None]] = {
    "MatMul": _of_product,
    "Transpose": _of_transposition,
    "Reshape": _of_reshaping,
    "Slice": _of_slice,
    "Concat": _of_concatenation,
    "Split": _of_split,
    "Squeeze": _of_squeezing,
}


def _insert_selections(graph: Any, first_only: dict[str, list[_Use]]) -> None:
    """Insert nodes that select the first index of tensors that are computed for all tokens."""
    from onnx.helper import make_node
    from onnx.numpy_helper import from_array

    inserted: dict[int, list[Any]] = defaultdict(list)  # by the index of the node before which they belong
    graph.initializer.append(from_array(np.array([0], np.int64), _INDEX))
    for tensor, uses in first_only.items():
        known = set()
        for use in sorted(uses, key=lambda use: use.node_index):
            if use.is_selection:
                continue
            first = f"{tensor}.first_{use.axis}"
            graph.node[use.node_index].input[use.position] = first
            if first not in known:
                known.add(first)
                selection = make_node("Gather", [tensor, _INDEX], [first], f"{first}/Gather", axis=use.axis)
                inserted[use.node_index].append(selection)
    nodes = [new for index, node in enumerate(graph.node) for new in (*inserted[index], node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _set_shape(graph: Any, node: Any, axis: int, output: Shape) -> None:
    """Set the target shape of a Reshape: size 1 at `axis`, earlier dimensions as in the input."""
    from onnx.numpy_helper import from_array

    name = f"{node.output[0]}.first_shape"
    shape = np.array([*[0] * axis, 1, *output[axis + 1 :]], np.int64)
    graph.initializer.append(from_array(shape, name))
    node.input[1] = name
    del node.attribute[:]  # allowzero=1, with which 0 is a size


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx.helper import get_attribute_value

    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    return default if found is None else get_attribute_value(found)
