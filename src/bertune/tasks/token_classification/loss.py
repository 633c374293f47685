"""The token classification loss.

Dimensions: T tokens of a batch, concatenated; C labels.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.tasks.token_classification.tagging import IGNORED


def loss(outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy of the first tokens of words, and their number; outputs are [T, C]."""
    assert batch.gold is not None
    total = cross_entropy(outputs.float(), batch.gold, ignore_index=IGNORED, reduction="sum")
    return total, (batch.gold != IGNORED).sum()
