"""Sequences are concatenated without loss."""

import numpy as np
import torch

from bertune.nn.batch import collate
from bertune.text.sequences import Gold, Sequence


def sequence(ids: list[int], group: int = 0, gold: Gold = None) -> Sequence:
    types = np.arange(len(ids)) > len(ids) // 2
    return Sequence(np.asarray(ids, np.int32), types.astype(np.uint8), group, gold)


def test_a_batch_concatenates_its_sequences_without_padding() -> None:
    batch = collate([sequence([1, 2, 3], 4), sequence([5, 6, 7, 8, 9], 2), sequence([10], 4)])
    assert batch.ids_T.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert batch.types_T.tolist() == [0, 0, 1, 0, 0, 0, 1, 1, 0]
    assert batch.lengths_S.tolist() == [3, 5, 1]
    assert batch.groups_S.tolist() == [4, 2, 4]


def test_label_numbers_become_one_value_per_sequence() -> None:
    gold = collate([sequence([1], gold=2), sequence([1, 2], gold=0)]).gold
    assert gold is not None
    assert gold.dtype == torch.int64
    assert gold.tolist() == [2, 0]


def test_gold_numbers_are_not_rounded() -> None:
    gold = collate([sequence([1], gold=2.5), sequence([1, 2], gold=0.25)]).gold
    assert gold is not None
    assert gold.is_floating_point()
    assert gold.tolist() == [2.5, 0.25]


def test_gold_values_per_token_are_concatenated() -> None:
    batch = collate([sequence([1, 2], gold=np.array([7, -100])), sequence([3], gold=np.array([5]))])
    assert batch.gold is not None
    assert batch.gold.tolist() == [7, -100, 5]


def test_a_batch_with_a_sequence_without_gold_has_none() -> None:
    assert collate([sequence([1], gold=2), sequence([1, 2])]).gold is None
