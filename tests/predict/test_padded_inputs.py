"""The inputs of a graph: padded sequences, their mask and their token types."""

import numpy as np
import pytest

from bertune.predict.onnx_backend import padded_inputs
from bertune.text.sequences import Sequence

WITH_TYPES = ("input_ids", "attention_mask", "token_type_ids")
PAIR = Sequence(np.array([2, 7, 3, 8, 3], np.int32), np.array([0, 0, 0, 1, 1], np.uint8), 0)
SHORT = Sequence(np.array([2, 3], np.int32), np.array([0, 0], np.uint8), 1)


def test_sequences_are_padded_to_the_longest() -> None:
    inputs = padded_inputs([SHORT, PAIR], WITH_TYPES, pad_id=9)
    assert inputs["input_ids"].tolist() == [[2, 3, 9, 9, 9], [2, 7, 3, 8, 3]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]


@pytest.mark.parametrize("names", [WITH_TYPES, WITH_TYPES[:2]])
def test_a_single_sequence_has_the_same_inputs_as_in_a_batch(names: tuple[str, ...]) -> None:
    alone, twice = (padded_inputs(batch, names, pad_id=0) for batch in ([PAIR], [PAIR, PAIR]))
    assert alone.keys() == twice.keys() == set(names)
    for name in names:
        np.testing.assert_array_equal(alone[name], twice[name][:1])
        assert alone[name].dtype == np.int64
