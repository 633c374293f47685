"""A task of one's own: classification that forgives wrong labels (Zhang & Sabuncu 2018, L_q loss).

    bertune train reviews.csv model.name=minilm task.name=examples/my_task.py task.q=0.7
    bertune predict runs/reviews new.csv task.name=examples/my_task.py

A task file defines TASK, a class derived from bertune.tasks.Task or, as here, from a task that is there
already. This one changes two members of classification: its options and its loss. The nearer q is to 1, the
less a text counts whose label the model finds unbelievable; at 0 the loss is cross-entropy.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.tasks.classification.task import (
    Classification,
    ClassificationOptions,
    FittedClassification,
)
from bertune.tasks.parts.loss import outputs_of_texts


class ForgivingOptions(ClassificationOptions):
    """The keys of [task] beside name."""

    q: float = Field(0.7, ge=0, le=1, description="0: cross-entropy; 1: the probability of being wrong")


class FittedForgiving(FittedClassification):
    """The task when the training texts have told which labels there are."""

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum and the number of terms: the loop divides by the count of the whole optimizer step."""
        logits, gold = outputs_of_texts(outputs, batch, self.keep_together == "group")
        count = torch.tensor(len(gold), device=logits.device)
        surprise = cross_entropy(logits.float(), gold, reduction="none")
        q = self.options.q
        if q == 0:
            return surprise.sum(), count
        return ((1 - torch.exp(-q * surprise)) / q).sum(), count


class ForgivingClassification(Classification):
    """One label per text or pair, learned from labels some of which are wrong."""

    Options = ForgivingOptions
    Fitted = FittedForgiving


TASK = ForgivingClassification
