"""The physical floor of a training step: its unavoidable arithmetic and memory traffic.

One FLOP is a multiplication or an addition. Only matrix products are counted; embedding lookups, softmax,
GELU, LayerNorm and dropout are memory-bound and omitted by convention. With L layers, hidden size H,
feed-forward size F, embedding size E and C labels, the forward pass of a text of s tokens takes
s·L·(8H² + 4HF + 4sH) FLOP in the layers and 2H² + 2HC in the head. The backward pass takes twice that: one
product for the gradient of the input and one for that of the weights. Recomputation does not count. The
optimizer runs after the backward pass, so its time is added.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# AdamW reads parameter, gradient and two moments and writes all but the gradient, in fp32.
OPTIMIZER_BYTES = 28
# Families whose layers consist of the products above. DeBERTa has additional ones, ModernBERT is gated.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert"})


@dataclass(frozen=True)
class Shape:
    """The dimensions of a model that determine its FLOPs."""

    layers: int
    hidden: int
    intermediate: int
    embedding: int
    labels: int


@dataclass(frozen=True)
class Load:
    """Sums over sequences from which the FLOPs of any model can be computed."""

    sequences: int = 0
    tokens: int = 0
    squares: int = 0  # sum of squared lengths, for attention

    @classmethod
    def of(cls, lengths: Iterable[int]) -> "Load":
        """The load of sequences of these lengths."""
        known = [int(n) for n in lengths]
        return cls(len(known), sum(known), sum(n * n for n in known))

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.sequences + other.sequences, self.tokens + other.tokens, self.squares + other.squares
        )


@dataclass(frozen=True)
class Peaks:
    """Peak rates of the machine, measured in the same run as the contestants."""

    square_flops: float  # per second, best large square product
    shapes_flops: float  # per second, products of the model's shapes, forward and backward, weighted by FLOP
    copy_bytes: float  # per second
    triad_bytes: float  # per second

    @property
    def flops(self) -> float:
        """The highest measured FLOP/s."""
        return max(self.square_flops, self.shapes_flops)

    @property
    def bytes(self) -> float:
        """The highest measured bandwidth in bytes/s."""
        return max(self.copy_bytes, self.triad_bytes)


def shape_of(config: Any, num_labels: int) -> Shape | None:
    """The dimensions in a Hugging Face configuration; None for a family with different products."""
    if config.model_type not in FAMILIES:
        return None
    intermediate = getattr(config, "intermediate_size", None) or config.hidden_dim
    embedding = getattr(config, "embedding_size", config.hidden_size)
    return Shape(config.num_hidden_layers, config.hidden_size, intermediate, embedding, num_labels)


def forward_flops(load: Load, shape: Shape) -> int:
    """FLOP of one forward pass with the pooler and the classifier."""
    head = load.sequences * (2 * shape.hidden**2 + 2 * shape.hidden * shape.labels)
    return shape.layers * _layer(load, shape) + _projection(load, shape) + head


def training_flops(load: Load, shape: Shape, freeze: str = "none") -> int:
    """FLOP of forward and backward pass. `freeze` takes the values of train.freeze.

    A frozen part has no weight gradient and, if everything below it is frozen, no input gradient either.
    """
    forward = forward_flops(load, shape)
    if freeze == "none":
        return 3 * forward
    if freeze == "encoder":
        return forward + 2 * load.sequences * shape.hidden * shape.labels
    frozen = int(freeze) if freeze.isdigit() else 0
    unneeded = 2 * (frozen * _layer(load, shape) + _projection(load, shape))
    # The lowest trained products (query, key and value, or the pooler) need no gradient of their input.
    is_head_only = frozen >= shape.layers
    unneeded += (2 * load.sequences if is_head_only else 6 * load.tokens) * shape.hidden**2
    return 3 * forward - unneeded


def optimizer_bytes(parameters: int) -> int:
    """Bytes read and written by a fused AdamW step on this number of parameters."""
    return OPTIMIZER_BYTES * parameters


def floor_seconds(flops: float, moved: float, peaks: Peaks) -> float:
    """The minimum seconds for `flops` FLOP followed by `moved` bytes of memory traffic."""
    return flops / peaks.flops + moved / peaks.bytes


def _layer(load: Load, shape: Shape) -> int:
    weights = 8 * shape.hidden**2 + 4 * shape.hidden * shape.intermediate
    return load.tokens * weights + 4 * shape.hidden * load.squares


def _projection(load: Load, shape: Shape) -> int:
    """FLOP of the projection from the embedding size to the hidden size, if they differ."""
    return 0 if shape.embedding == shape.hidden else 2 * load.tokens * shape.embedding * shape.hidden
