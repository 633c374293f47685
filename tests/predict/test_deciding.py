"""The data that temperatures are fitted to."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bertune.predict import deciding
from bertune.predict.deciding import RowOutputs, terms_of


def rows(num: int) -> tuple[Any, RowOutputs]:
    """A classifier of two labels, and its outputs for some rows."""
    fitted = SimpleNamespace(
        calibration_kind="softmax",
        calibration_terms=lambda outputs, sequences, example: (outputs[0][None], np.array([example % 2])),
    )
    outputs: list[Any] = [([np.array([number, 0.0])], []) for number in range(num)]
    return fitted, RowOutputs(list(range(num)), outputs)


@pytest.mark.parametrize(("limit", "kept"), [(20, range(10)), (19, range(0, 10, 2)), (7, range(0, 10, 3))])
def test_temperatures_are_fitted_to_a_part_of_very_many_outputs(
    limit: int, kept: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_MOST_OUTPUTS", limit)
    terms = terms_of(*rows(10))
    assert terms is not None
    assert terms.logits_NC[:, 0].tolist() == list(kept)
    assert terms.gold.tolist() == [number % 2 for number in kept]


def test_no_rows_have_no_terms() -> None:
    terms = terms_of(*rows(0))
    assert terms is not None and len(terms) == 0
