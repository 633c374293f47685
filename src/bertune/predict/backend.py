"""The interface between a task and the network: sequences in, arrays out.

Everything before and after a backend is NumPy. A backend wraps a network in a runtime such as torch.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Protocol

from bertune.tasks import Output
from bertune.text.sequences import Sequence

Poll = Callable[[], None]


def never_stop() -> None:
    """A `poll` callback that does nothing."""


@dataclass(frozen=True)
class BackendOutputs:
    """The outputs of a network for some sequences."""

    outputs: list[Output]  # one per sequence, in order, as the task's `decode` takes them
    loss_sum: float = 0.0
    num_terms: float = 0.0  # of the loss; 0 if no sequence has gold or the loss cannot be computed


@dataclass(frozen=True)
class Runtime:
    """The runtime of a network, and how it forms batches."""

    name: str  # torch or onnx
    precision: str  # of matrix products: fp32, bf16, fp16 or int8
    pads: bool  # whether computing a batch takes as many tokens as its longest sequence has, per sequence
    micro_batch_tokens: int  # padded tokens computed at a time; a larger batch is split


class Backend(Protocol):
    """A network for one fitted task, which must be thread-safe."""

    @property
    def runtime(self) -> Runtime:
        """The library that runs the network."""

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences; sequences with the same `group` belong to the same example.

        `poll` is called between batches and can raise an exception to stop. Raises ResourceError if a single
        sequence does not fit in memory.
        """
