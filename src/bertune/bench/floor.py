"""Owns the physical floor of a training step: the arithmetic and the memory traffic nobody can avoid.

FLOP: a multiplication or an addition. Counted are matrix products; embedding lookups, softmax, GELU,
LayerNorm and dropout move bytes and are left out by convention. L layers, H hidden, F feed-forward, E
embedding width, C labels. A text of s tokens takes s·L·(8H² + 4HF + 4sH) forward, and 2H² + 2HC in the head.
The backward pass takes twice that, one product for the input and one for the weights; recomputed work
never counts. The optimizer phase follows the backward pass, so its time is added.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# AdamW reads parameter, gradient and two moments and writes all but the gradient, in fp32.
OPTIMIZER_BYTES = 28
# Families whose layers are the products above. DeBERTa has more, ModernBERT has a gate.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert"})


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that decide its FLOPs."""

    layers: int
    hidden: int
    intermediate: int
    embedding: int
    labels: int


@dataclass(frozen=True)
class Load:
    """Sums over sequences, enough for the FLOPs of any model."""

    sequences: int = 0
    tokens: int = 0
    squares: int = 0  # of the lengths: attention grows with them

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
    """What the machine can do, measured in the same run."""

    square_flops: float  # per second, best large square product
    shapes_flops: float  # per second, the model's own products, forward and backward, weighted by FLOP
    copy_bytes: float  # per second
    triad_bytes: float  # per second

    @property
    def flops(self) -> float:
        """The fastest product seen."""
        return max(self.square_flops, self.shapes_flops)

    @property
    def bytes(self) -> float:
        """The fastest traffic seen."""
        return max(self.copy_bytes, self.triad_bytes)


def shape_of(config: Any, num_labels: int) -> Shape | None:
    """The sizes in a Hugging Face configuration; None for a family whose products are others."""
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
    """FLOP of forward and backward; `freeze` as train.freeze: none, embeddings, a number, encoder.

    A frozen part has no weight gradient, and where everything below is frozen, no input gradient.
    """
    forward = forward_flops(load, shape)
    if freeze == "none":
        return 3 * forward
    if freeze == "encoder":
        return forward + 2 * load.sequences * shape.hidden * shape.labels
    frozen = int(freeze) if freeze.isdigit() else 0
    unneeded = 2 * (frozen * _layer(load, shape) + _projection(load, shape))
    # The lowest trained product needs no gradient of its input: query, key and value, or the pooler.
    is_head_only = frozen >= shape.layers
    unneeded += (2 * load.sequences if is_head_only else 6 * load.tokens) * shape.hidden**2
    return 3 * forward - unneeded


def optimizer_bytes(parameters: int) -> int:
    """Bytes that a fused AdamW step moves for so many parameters."""
    return OPTIMIZER_BYTES * parameters


def floor_seconds(flops: float, moved: float, peaks: Peaks) -> float:
    """The least time for so many FLOP and, after them, so many bytes."""
    return flops / peaks.flops + moved / peaks.bytes


def _layer(load: Load, shape: Shape) -> int:
    weights = 8 * shape.hidden**2 + 4 * shape.hidden * shape.intermediate
    return load.tokens * weights + 4 * shape.hidden * load.squares


def _projection(load: Load, shape: Shape) -> int:
    """From the embedding width to the hidden size, where they differ."""
    return 0 if shape.embedding == shape.hidden else 2 * load.tokens * shape.embedding * shape.hidden
