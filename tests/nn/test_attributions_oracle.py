"""Explanations compared with captum, which integrates with many more points."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from bertune.nn.attributions import IntegratedGradients
from bertune.nn.model import StandardModel
from bertune.tasks.explained import OutputWeights, contrast
from bertune.text.sequences import Sequence

attr = pytest.importorskip("captum.attr", reason="captum is not installed")


def test_contributions_are_those_of_captum_and_add_up(tiny_weights: Path) -> None:
    hf = BertForSequenceClassification.from_pretrained(tiny_weights).eval()
    ids = np.array([2, 7, 11, 9, 13, 3], np.int32)
    sequence = Sequence(ids, np.zeros(len(ids), np.uint8), 0)
    replaced = np.array([False, True, True, True, True, False])
    number = OutputWeights.of_row(0, range(2), contrast(2, 1))
    found = IntegratedGradients(StandardModel(hf), 1024)(sequence, number, replaced, 4, lambda: None)

    table = hf.get_input_embeddings()
    words = table(torch.from_numpy(ids.astype(np.int64)))[None].detach()
    neutral = torch.where(torch.from_numpy(replaced)[:, None], table.weight[4], words[0])[None].detach()

    def margin(vectors: torch.Tensor) -> torch.Tensor:
        logits = hf(inputs_embeds=vectors).logits
        return logits[:, 1] - logits[:, 0]

    theirs = attr.IntegratedGradients(margin).attribute(words, neutral, n_steps=300)
    expected = theirs.sum(-1)[0].double().numpy()
    assert np.abs(expected).max() > 0.01
    difference = found.value - found.baseline
    tolerance = 0.02 * max(abs(difference), 0.1)
    assert np.allclose(found.tokens, expected, atol=tolerance)
    assert found.tokens.sum() == pytest.approx(difference, abs=tolerance)
    assert difference == pytest.approx((margin(words) - margin(neutral)).item(), abs=1e-4)
    assert found.tokens[[0, -1]].tolist() == [0, 0]
