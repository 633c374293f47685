"""A task of one's own: classification that forgives wrong labels (Zhang & Sabuncu 2018, L_q loss).

    bertune train reviews.csv model.name=minilm task.name=examples/my_task.py task.q=0.7
    bertune predict runs/reviews new.csv task.name=examples/my_task.py

A task file defines TASK, a class derived from bertune.tasks.Task or, as here, from a task that is there
already. This one changes two members of classification: its options and its loss. The nearer q is to 1, the
less a text counts whose label the model finds unbelievable; at 0 the loss is cross-entropy.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.tasks.classification import Classification, ClassificationOptions
from bertune.text.sequences import Batch


class ForgivingOptions(ClassificationOptions):
    """The keys of [task] beside name."""

    q: float = Field(0.7, ge=0, le=1, description="0: cross-entropy; 1: the probability of being wrong")


class ForgivingClassification(Classification):
    """One label per text or pair, learned from labels some of which are wrong."""

    Options = ForgivingOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.q = options.q

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum and the number of terms: the loop divides by the count of the whole optimizer step."""
        logits, gold = self.of_texts(outputs, batch)
        count = torch.tensor(len(gold), device=logits.device)
        surprise = cross_entropy(logits.float(), gold, reduction="none")
        if self.q == 0:
            return surprise.sum(), count
        return ((1 - torch.exp(-self.q * surprise)) / self.q).sum(), count


TASK = ForgivingClassification
