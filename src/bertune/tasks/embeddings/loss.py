"""The embedding losses, computed over all sequences of an optimizer step.

Dimensions: S sequences, H numbers of a vector, A examples, C candidates that an anchor is compared with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from bertune.nn.batch import Batch
from bertune.tasks.embeddings.task import FittedEmbeddings


def loss(fitted: FittedEmbeddings, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed loss of a step, averaged over the matryoshka sizes, and the number of summed terms.

    CoSENT has one term per step, the other losses have one per example. Outputs are [S, H].
    """
    assert batch.gold is not None, "a loss requires gold"
    options = fitted.options
    step = StepTexts.of(batch.groups_S, *batch.gold.view(-1, 3).unbind(1))
    losses = []
    for size in options.matryoshka_dims or (outputs.shape[1],):
        vectors_SH = normalize(outputs[:, :size].float(), dim=-1)
        if not step.is_scored:
            losses.append(in_batch_negatives(vectors_SH, step, options.scale))
        elif options.loss == "mse":
            losses.append(squared_error(vectors_SH, step, fitted.low, fitted.width))
        else:
            losses.append(cosent(vectors_SH, step, options.scale))
    count = 1 if step.is_scored and options.loss != "mse" else len(step.firsts_A)
    return torch.stack(losses).mean(), torch.tensor(count, device=outputs.device)


@dataclass(frozen=True)
class StepTexts:
    """The sequences of a step by their role. A score of NaN means that there is no score."""

    firsts_A: Tensor  # indices of the anchors among the sequences, by example
    seconds_A: Tensor  # indices of their positives
    others_C: Tensor  # indices of the positives and of all negatives
    scores_A: Tensor
    texts_S: Tensor  # equal numbers for equal texts

    @classmethod
    def of(cls, groups_S: Tensor, roles_S: Tensor, scores_S: Tensor, texts_S: Tensor) -> "StepTexts":
        """From the group, role (0 anchor, 1 positive, 2 negative), score and text number of each sequence."""
        order_S = torch.argsort(groups_S, stable=True)
        firsts_A, seconds_A = (order_S[roles_S[order_S] == role] for role in (0, 1))
        others_C = torch.cat([seconds_A, torch.nonzero(roles_S == 2).flatten()])
        return cls(firsts_A, seconds_A, others_C, scores_S[firsts_A], texts_S)

    @property
    def is_scored(self) -> bool:
        """Whether the examples have scores."""
        return not bool(self.scores_A[0].isnan())


def in_batch_negatives(vectors_SH: Tensor, step: StepTexts, scale: float) -> Tensor:
    """The summed cross-entropy of the positive of each anchor over all positives and negatives of the step
    (Henderson et al. 2017, section 4.4); `scale` multiplies the cosines."""
    logits_AC = scale * vectors_SH[step.firsts_A] @ vectors_SH[step.others_C].T
    texts_S = step.texts_S
    wrong_AC = _false_negatives(texts_S[step.firsts_A], texts_S[step.seconds_A], texts_S[step.others_C])
    target_A = torch.arange(len(logits_AC), device=logits_AC.device)
    return cross_entropy(logits_AC.masked_fill(wrong_AC, -torch.inf), target_A, reduction="sum")


def cosent(vectors_SH: Tensor, step: StepTexts, scale: float) -> Tensor:
    """One loss over all pairs of examples with different scores (CoSENT, Su 2022); only the order matters."""
    cosines_A = _cosines(vectors_SH, step)
    wrong_AA = scale * (cosines_A[None, :] - cosines_A[:, None])
    differences = wrong_AA[step.scores_A[:, None] > step.scores_A[None, :]]
    return torch.cat([differences.new_zeros(1), differences]).logsumexp(0)


def squared_error(vectors_SH: Tensor, step: StepTexts, low: float, width: float) -> Tensor:
    """The summed squared error of cosines (Reimers & Gurevych 2019, section 3).

    Scores are scaled linearly: `low` becomes 0 and `low + width` becomes 1.
    """
    return ((_cosines(vectors_SH, step) - (step.scores_A - low) / width) ** 2).sum()


def _cosines(vectors_SH: Tensor, step: StepTexts) -> Tensor:
    return (vectors_SH[step.firsts_A] * vectors_SH[step.seconds_A]).sum(-1)


def _false_negatives(anchors_A: Tensor, positives_A: Tensor, candidates_C: Tensor) -> Tensor:
    """A mask [A, C] of the candidates of other rows that are not negatives of an anchor.

    These are the anchor text itself and all positives of the same anchor text in the step. Using them as
    negatives would counteract the rows in which they are positives.
    """
    is_same_AA = (anchors_A[:, None] == anchors_A[None, :]).float()
    is_positive_AC = (positives_A[:, None] == candidates_C[None, :]).float()
    wrong_AC = (is_same_AA @ is_positive_AC > 0) | (anchors_A[:, None] == candidates_C[None, :])
    return wrong_AC.fill_diagonal_(False)  # candidate a is the positive of anchor a
