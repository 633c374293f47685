"""The losses of vectors that should be near to or far from each other, over all sequences of a step.

Dimensions: S sequences, H numbers of a vector, A examples, C texts that an anchor is compared with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from bertune.nn.batch import Batch
from bertune.tasks.embeddings.task import FittedEmbeddings


def loss(fitted: FittedEmbeddings, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed loss of a whole step, its mean over `sizes`, and the number of terms in it.

    With cosent that is one term for the step, otherwise one for each example. Outputs are [S, H].
    """
    assert batch.gold is not None, "a loss is computed where there is gold"
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
    """Which sequences make an example. A score of NaN stands for no score."""

    firsts_A: Tensor  # positions of the anchors among the sequences, by example
    seconds_A: Tensor  # their positives
    others_C: Tensor  # those and all negatives
    scores_A: Tensor
    texts_S: Tensor  # equal numbers for equal texts

    @classmethod
    def of(cls, groups_S: Tensor, roles_S: Tensor, scores_S: Tensor, texts_S: Tensor) -> "StepTexts":
        """From the example of each sequence, its place in that, its score, and which text it is."""
        order_S = torch.argsort(groups_S, stable=True)
        firsts_A, seconds_A = (order_S[roles_S[order_S] == role] for role in (0, 1))
        others_C = torch.cat([seconds_A, torch.nonzero(roles_S == 2).flatten()])
        return cls(firsts_A, seconds_A, others_C, scores_S[firsts_A], texts_S)

    @property
    def is_scored(self) -> bool:
        """Whether the examples have scores."""
        return not bool(self.scores_A[0].isnan())


def in_batch_negatives(vectors_SH: Tensor, step: StepTexts, scale: float) -> Tensor:
    """The summed cross-entropy of each anchor's positive among all texts that are not anchors (Henderson et
    al. 2017, section 4.4); `scale` multiplies the cosines."""
    logits_AC = scale * vectors_SH[step.firsts_A] @ vectors_SH[step.others_C].T
    texts_S = step.texts_S
    wrong_AC = _wrong_negatives(texts_S[step.firsts_A], texts_S[step.seconds_A], texts_S[step.others_C])
    own_A = torch.arange(len(logits_AC), device=logits_AC.device)
    return cross_entropy(logits_AC.masked_fill(wrong_AC, -torch.inf), own_A, reduction="sum")


def cosent(vectors_SH: Tensor, step: StepTexts, scale: float) -> Tensor:
    """One loss for all pairs of pairs in the wrong order (CoSENT, Su 2022): only the scores' order counts."""
    cosines_A = _cosines(vectors_SH, step)
    wrong_AA = scale * (cosines_A[None, :] - cosines_A[:, None])
    differences = wrong_AA[step.scores_A[:, None] > step.scores_A[None, :]]
    return torch.cat([differences.new_zeros(1), differences]).logsumexp(0)


def squared_error(vectors_SH: Tensor, step: StepTexts, low: float, width: float) -> Tensor:
    """The summed squared error of cosines against scores, of which `low` is 0 and `low + width` is 1 (Reimers
    & Gurevych 2019, section 3)."""
    return ((_cosines(vectors_SH, step) - (step.scores_A - low) / width) ** 2).sum()


def _cosines(vectors_SH: Tensor, step: StepTexts) -> Tensor:
    return (vectors_SH[step.firsts_A] * vectors_SH[step.seconds_A]).sum(-1)


def _wrong_negatives(anchors_A: Tensor, positives_A: Tensor, candidates_C: Tensor) -> Tensor:
    """Which candidates [A, C] are not negatives of an anchor although they are in another row.

    These are the anchor itself and every positive that the same text has anywhere in the step: pushing them
    away would undo what the rows that hold them pull together.
    """
    is_same_AA = (anchors_A[:, None] == anchors_A[None, :]).float()
    is_positive_AC = (positives_A[:, None] == candidates_C[None, :]).float()
    wrong_AC = (is_same_AA @ is_positive_AC > 0) | (anchors_A[:, None] == candidates_C[None, :])
    return wrong_AC.fill_diagonal_(False)  # candidate number a is the positive of anchor number a
