"""Weighted losses agree with torch; focal loss and label smoothing agree with their papers."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bertune.tasks.parts.loss import weighted_binary_cross_entropy, weighted_cross_entropy

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3], [-2.0, 3.0, 1.0], [0.0, 0.0, 4.0]])
GOLD = torch.tensor([0, 2, 1, 0])
WEIGHTS = torch.tensor([0.5, 2.0, 3.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_sum_divided_by_count_equals_the_mean_of_torch(weights: torch.Tensor | None) -> None:
    total, count = weighted_cross_entropy(LOGITS, GOLD, weights, 0, 0)
    assert total / count == pytest.approx(float(cross_entropy(LOGITS, GOLD, weights)))


def test_sums_and_counts_of_parts_add_up_to_the_mean_of_the_whole() -> None:
    parts = [weighted_cross_entropy(LOGITS[p], GOLD[p], WEIGHTS, 0, 0) for p in (slice(0, 1), slice(1, 4))]
    mean = sum(total for total, _ in parts) / sum(count for _, count in parts)
    assert mean == pytest.approx(float(cross_entropy(LOGITS, GOLD, WEIGHTS)))


def test_label_smoothing_equals_that_of_torch() -> None:
    total, count = weighted_cross_entropy(LOGITS, GOLD, None, 0, 0.2)
    assert total / count == pytest.approx(float(cross_entropy(LOGITS, GOLD, label_smoothing=0.2)))


def test_the_focal_loss_weights_texts_by_their_uncertainty() -> None:
    total, _ = weighted_cross_entropy(LOGITS, GOLD, None, 2.0, 0)
    sure = LOGITS.softmax(-1)[torch.arange(4), GOLD]
    assert total == pytest.approx(float((-((1 - sure) ** 2) * sure.log()).sum()))


def test_the_multilabel_focal_loss_weights_labels_by_their_uncertainty() -> None:
    gold = torch.tensor([[1.0, 0.0, 1.0]] * 4)
    total, count = weighted_binary_cross_entropy(LOGITS, gold, None, 2.0, 0)
    sure = torch.where(gold > 0, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    assert count == 12
    assert total == pytest.approx(float((-((1 - sure) ** 2) * sure.log()).sum()), rel=1e-5)
