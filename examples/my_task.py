"""A task of one's own: classification with label smoothing (Szegedy et al. 2016, section 7).

    bertune train reviews.csv model.name=minilm task.name=examples/my_task.py task.smoothing=0.2
    bertune predict runs/reviews new.csv task.name=examples/my_task.py

A task file defines TASK, a class with the members that bertune.tasks.Task lists. This one takes them from
classification and changes two: its options and its loss. The validation loss is then smoothed too.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.tasks.classification import Classification, ClassificationOptions
from bertune.text.sequences import Batch


class SmoothedOptions(ClassificationOptions):
    """The keys of [task] beside name."""

    smoothing: float = Field(0.1, ge=0, lt=1, description="the share of each label given to all labels alike")


class SmoothedClassification(Classification):
    """One label per text or pair, learned from targets that are less than certain."""

    Options = SmoothedOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.smoothing = options.smoothing

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum and the number of terms: the loop divides by the count of the whole optimizer step."""
        total = cross_entropy(outputs.float(), batch.gold, reduction="sum", label_smoothing=self.smoothing)
        return total, torch.tensor(len(outputs), device=total.device)


TASK = SmoothedClassification
