"""A custom task: classification with a loss that is robust to wrong labels (L_q, Zhang & Sabuncu 2018).

    bertune train reviews.csv model.name=minilm task.name=examples/my_task.py task.q=0.7
    bertune predict runs/reviews new.csv task.name=examples/my_task.py

A task file defines TASK, a class derived from bertune.tasks.Task or, as here, from an existing task. This one
changes two members of classification: its options and its loss. The closer q is to 1, the less weight a text
has if the model considers its label improbable. With q=0, the loss is cross-entropy.
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
    """The options of the task: the keys of [task] other than name."""

    q: float = Field(0.7, ge=0, le=1, description="0: cross-entropy; 1: one minus the label's probability")


class FittedForgiving(FittedClassification):
    """The task fitted to the labels of the training data."""

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum of the losses and their number; training divides by the number in the optimizer step."""
        logits, gold = outputs_of_texts(outputs, batch, self.keep_together == "group")
        count = torch.tensor(len(gold), device=logits.device)
        losses = cross_entropy(logits.float(), gold, reduction="none")
        q = self.options.q
        if q == 0:
            return losses.sum(), count
        return ((1 - torch.exp(-q * losses)) / q).sum(), count


class ForgivingClassification(Classification):
    """Classification of texts or pairs, robust to some wrong labels in the training data."""

    Options = ForgivingOptions
    Fitted = FittedForgiving


TASK = ForgivingClassification
