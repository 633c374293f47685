"""Parameters of tiny estimators, and an adapter with which scikit-learn's checks can be run.

The checks generate numbers; the adapter turns the numbers of a row into a text. What the checks say about
labels, parameters, fitted attributes, repeated fits and pickling is then about the estimators themselves.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

import bertune as bt
from small_texts import PLAIN

QUICK = {"machine.threads": 1, "machine.precision": "fp32"}

# Why some checks cannot pass.
ROUNDING = (
    "the texts that are computed together depend on the order and number of texts, which changes fp32 "
    "results by rounding; the checks allow 1e-7"
)
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROUNDING,
    "check_methods_subset_invariance": ROUNDING,
}


def tiny(kind: Callable[..., Any], encoder: Path, **parameters: Any) -> Any:
    """An estimator that trains in a fraction of a second."""
    usual = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "random_state": 3, "settings": QUICK}
    return kind(model=str(encoder), **{**usual, **parameters})


def as_texts(X: Any) -> list[str]:
    """A word for each of the first numbers of a row, by its size in steps of 0.5."""
    size = len(PLAIN)
    steps_NF = np.clip(np.asarray(X, float)[:, :20] * 2, -4, 4).astype(int) + 4
    return [" ".join(PLAIN[(7 * j + int(step)) % size] for j, step in enumerate(row)) for row in steps_NF]


class _OfNumbers:
    """Overrides the methods that take X."""

    def __init__(
        self, model="", epochs=1, batch_size=16, learning_rate=3e-3, max_length="auto",
        validation_fraction=0.2, random_state=None, settings=None, out=None, verbose=False,
    ) -> None:  # fmt: skip
        super().__init__(
            model=model, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
            max_length=max_length, validation_fraction=validation_fraction, random_state=random_state,
            settings=settings, out=out, verbose=verbose,
        )  # fmt: skip

    def fit(self, X, y):
        X = validate_data(self, X)
        seen = {name: getattr(self, name, None) for name in ("n_features_in_", "feature_names_in_")}
        super().fit(as_texts(X), y)
        for name, value in seen.items():
            if value is not None:
                setattr(self, name, value)
        return self

    def predict(self, X):
        return super().predict(self._texts(X))

    def _texts(self, X):
        check_is_fitted(self)
        return as_texts(validate_data(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = False
        return tags


class ClassifierOfNumbers(_OfNumbers, bt.BertClassifier):
    def predict_proba(self, X):
        return super().predict_proba(self._texts(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # a tiny encoder without pretraining
        return tags


class RegressorOfNumbers(_OfNumbers, bt.BertRegressor):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


def failures(kind: Callable[..., Any], encoder: Path, legacy: bool) -> dict[str, str]:
    """The checks that an estimator does not pass, except the expected ones, with their messages.

    `legacy` selects all checks instead of those of the interface.
    """
    results = check_estimator(
        kind(model=str(encoder), settings=QUICK),
        legacy=legacy,
        expected_failed_checks=EXPECTED_FAILURES,
        on_skip=None,
        on_fail=None,
    )
    assert len(results) >= (50 if legacy else 12)
    return {one["check_name"]: repr(one["exception"]) for one in results if one["status"] == "failed"}
