"""All checks of scikit-learn on both estimators, and a classifier for SST-2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimator_inputs import ClassifierOfNumbers, RegressorOfNumbers, failures
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import bertune as bt


@pytest.mark.parametrize("kind", [ClassifierOfNumbers, RegressorOfNumbers])
@pytest.mark.filterwarnings("ignore")  # the checks themselves warn, for example about a column vector y
def test_every_check_of_scikit_learn_passes(data: Path, kind: Callable[..., Any], tiny_weights: Path) -> None:
    """Except two on rounding, which EXPECTED_FAILURES explains. Here because it takes 20 seconds."""
    assert failures(kind, tiny_weights, legacy=True) == {}


def test_sst2_is_learned_from_a_data_frame(data: Path) -> None:
    table = pd.read_csv(data / "sst2" / "train.tsv", sep="\t", quoting=3).iloc[:1200]
    classifier = bt.BertClassifier(
        model="minilm",
        epochs=3,
        batch_size=16,
        learning_rate=2e-4,
        max_length=64,
        random_state=1,
        settings={"train.freeze": 4, "machine.threads": 1},
    )
    folds = StratifiedKFold(2)
    predicted = cross_val_predict(classifier, table["sentence"], table["label"], cv=folds)
    assert predicted.dtype == table["label"].dtype
    assert np.mean(predicted == table["label"]) > 0.75, "the majority class has 0.56"
