"""The seam between a task and the network: sequences in, arrays out.

Everything before it and after it is NumPy. A backend wraps a network in some runtime, such as torch.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Protocol

from bertune.tasks import Output
from bertune.text.sequences import Sequence

Poll = Callable[[], None]


def never_stop() -> None:
    """The poll of a caller that does not want to stop."""


@dataclass(frozen=True)
class BackendOutputs:
    """What a network gives for some sequences."""

    outputs: list[Output]  # of each sequence, in their order, as the task's `decode` takes it
    loss_sum: float = 0.0
    num_terms: float = 0.0  # of the loss; 0 where no sequence has gold, or the loss cannot be computed


class Backend(Protocol):
    """A network for one fitted task. Threads may call it at the same time."""

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        """The outputs of all sequences; those of one `group` may belong to the same example.

        `poll` is called between batches and may raise to stop. Raises ResourceError where one sequence alone
        does not fit in memory.
        """
