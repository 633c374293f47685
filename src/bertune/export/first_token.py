"""Compute the last layer of a graph only for the token that the head reads.

The head of a classifier reads the first token of the last layer. Of the other tokens, this layer only needs
the keys and values; their queries, attention outputs and feed-forward outputs would be computed for nothing.
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
_PER_VECTOR = frozenset(("LayerNormalization", "LogSoftmax", "RMSNormalization", "Softmax"))  # along an axis

Shape = tuple[int | str, ...]  # a symbolic dimension is a name
Axes = dict[int, int]  # for some inputs of a node, by position: an axis


@dataclass(frozen=True)
class _Use:
    """An input of a node that needs only the first index of an axis of a tensor."""

    node: int  # position in the graph
    position: int
    axis: int


def narrow_to_first_token(proto: Any) -> None:
    """Rewrite a graph that reads only the first token of its last hidden states; others remain unchanged.

    Follows the computation backwards from where the first token is selected. While an operator treats the
    tokens separately, and nothing else needs its result, it is left to compute the first token only. The
    outputs of the graph remain the same, except for rounding. `proto` must contain the shapes of its values.
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # the branches of a condition may use any value
    values = _Values(graph)
    uses, narrowed = _followed(graph, values)
    for node, axis in narrowed:
        if node.op_type == "Reshape":
            _set_shape(graph, node, axis, values.shapes[node.output[0]])
    if narrowed:
        _select_first(graph, uses, values)


def _followed(graph: Any, values: "_Values") -> tuple[dict[str, list[_Use]], list[tuple[Any, int]]]:
    """The nodes that need to compute the first token only, with the axis of tokens in their output.

    Also, for other tensors, the uses for which their first token suffices.
    """
    uses: dict[str, list[_Use]] = defaultdict(list)
    narrowed = []
    for number, node in reversed(list(enumerate(graph.node))):
        if _selects_first_token(node, values):
            uses[node.input[0]].append(_Use(number, 0, _TOKENS))
            continue
        requests = [use for output in node.output for use in uses[output]]
        axes = {use.axis for use in requests}
        if len(axes) != 1 or len(requests) < sum(values.num_uses[output] for output in node.output):
            continue
        [axis] = axes
        needed = _needed(node, axis, values)
        if needed is not None:
            for output in node.output:
                del uses[output]
            narrowed.append((node, axis))
            for position, input_axis in needed.items():
                uses[node.input[position]].append(_Use(number, position, input_axis))
    return uses, narrowed


class _Values:
    """The tensors of a graph: shapes, constants, and the number of their uses."""

    def __init__(self, graph: Any) -> None:
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self.shapes = dict(_shapes(graph))
        self.num_uses = Counter(output.name for output in graph.output)
        for node in graph.node:
            self.num_uses.update(node.input)

    def constant(self, name: str) -> Any:
        """A constant as an array; None for other tensors."""
        from onnx.numpy_helper import to_array

        return to_array(self._constants[name]) if name in self._constants else None


def _shapes(graph: Any) -> Iterator[tuple[str, Shape]]:
    for tensor in graph.initializer:
        yield tensor.name, tuple(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dimensions = value.type.tensor_type.shape.dim
            yield value.name, tuple(d.dim_param or d.dim_value for d in dimensions)


def _selects_first_token(node: Any, values: _Values) -> bool:
    """Whether a node selects the first token of hidden states."""
    if node.op_type != "Gather" or _attribute(node, "axis", 0) != _TOKENS:
        return False
    index, shape = values.constant(node.input[1]), values.shapes.get(node.input[0], ())
    return index is not None and index.shape == () and index == 0 and len(shape) == 3


def _needed(node: Any, axis: int, values: _Values) -> Axes | None:
    """The inputs of which the first index of an axis suffices, if it suffices for `axis` of the output.

    None if it does not suffice, or if the operator or a shape is not known. Inputs that are not listed are
    needed as they are.
    """
    inputs = [values.shapes.get(name) for name in node.input]
    output = values.shapes.get(node.output[0])
    if output is None or inputs[0] is None:
        return None
    if node.op_type in _ELEMENTWISE:
        return _of_elementwise(inputs, output, axis)
    if node.op_type in _PER_VECTOR:
        along = _attribute(node, "axis", -1) % len(output)
        return {0: axis} if axis < along else None
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node, axis, inputs, output, values)


def _of_elementwise(inputs: list[Shape | None], output: Shape, axis: int) -> Axes | None:
    needed = {}
    for position, shape in enumerate(inputs):
        if shape is None:
            return None
        own = axis - (len(output) - len(shape))  # dimensions are aligned at the end
        if own < 0 or shape[own] == 1:
            continue
        if shape[own] != output[axis]:
            return None
        needed[position] = own
    return needed


def _of_product(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    first, second = inputs
    if second is None or first is None or axis >= len(output) - 1:
        return None
    if axis == len(output) - 2 or (len(second) == 2 and len(first) == len(output)):
        return {0: axis - (len(output) - len(first))}
    return None


def _of_transposition(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    return {0: _attribute(node, "perm", list(range(len(output)))[::-1])[axis]}


def _of_reshaping(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    before = inputs[0] or ()
    is_kept = before[: axis + 1] == output[: axis + 1]
    return {0: axis} if is_kept and all(isinstance(size, int) for size in output[axis + 1 :]) else None


def _of_slice(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    axes = values.constant(node.input[3]) if len(node.input) > 3 else None
    return None if axes is None or axis in axes % len(output) else {0: axis}


def _of_concatenation(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    same = all(shape is not None and shape[axis] == output[axis] for shape in inputs)
    return (
        dict.fromkeys(range(len(inputs)), axis)
        if same and axis != _attribute(node, "axis", 0) % len(output)
        else None
    )


def _of_split(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    return None if axis == _attribute(node, "axis", 0) % len(output) else {0: axis}


def _of_squeezing(
    node: Any, axis: int, inputs: list[Shape | None], output: Shape, values: _Values
) -> Axes | None:
    axes = values.constant(node.input[1]) if len(node.input) > 1 else None
    rank = len(inputs[0] or ())
    if axes is None:
        return None
    return {0: [number for number in range(rank) if number not in axes % rank][axis]}


Rule = Callable[[Any, int, list[Shape | None], Shape, _Values], Axes | None]
_RULES: dict[str, Rule] = {
    "MatMul": _of_product,
    "Transpose": _of_transposition,
    "Reshape": _of_reshaping,
    "Slice": _of_slice,
    "Concat": _of_concatenation,
    "Split": _of_split,
    "Squeeze": _of_squeezing,
}


def _select_first(graph: Any, uses: dict[str, list[_Use]], values: _Values) -> None:
    """Let nodes use the first index of an axis of tensors that are computed for all tokens."""
    from onnx.helper import make_node
    from onnx.numpy_helper import from_array

    selected: dict[int, list[Any]] = defaultdict(list)  # new nodes, by that before which they are inserted
    graph.initializer.append(from_array(np.array([0], np.int64), _INDEX))
    for tensor, of_tensor in uses.items():
        known = set()
        for use in sorted(of_tensor, key=lambda use: use.node):
            node = graph.node[use.node]
            if _selects_first_token(node, values):
                continue
            first = f"{tensor}.first_{use.axis}"
            node.input[use.position] = first
            if first not in known:
                known.add(first)
                selection = make_node("Gather", [tensor, _INDEX], [first], f"{first}/Gather", axis=use.axis)
                selected[use.node].append(selection)
    nodes = [new for number, node in enumerate(graph.node) for new in (*selected[number], node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _set_shape(graph: Any, node: Any, axis: int, output: Shape) -> None:
    """Let a Reshape give an axis the size 1, and keep the dimensions of its input before that axis."""
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
