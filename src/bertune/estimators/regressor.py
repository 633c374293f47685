"""`BertRegressor`: a scikit-learn regressor for texts and pairs of texts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bertune.estimators.estimator import TextEstimator
from bertune.estimators.inputs import numbers_of, texts_of
from bertune.optional_packages import needs

with needs("sklearn", "for bertune.BertRegressor"):
    from sklearn.base import RegressorMixin


class BertRegressor(RegressorMixin, TextEstimator):  # type: ignore[misc]
    """Predicts a number for texts or pairs of texts; a scikit-learn regressor.

    It has the parameters and attributes of `BertClassifier`, without `classes_`. X takes the same forms;
    y has a number for each row [N].
    """

    _fields: ClassVar[tuple[str, ...]] = ("value",)

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune the encoder on texts X [N] and numbers y [N].

        Raises EstimatorInputError (a BertuneError and a ValueError), and the errors of `bertune.train`.
        """
        texts = texts_of(X)
        numbers_N = numbers_of(y, len(texts.rows), type(self).__name__)
        task = {"task.name": "regression", "data.label": "label"}
        self._fit(texts, {"label": numbers_N.tolist()}, task)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The predicted number of each text [N]. Raises NotFittedError, EstimatorInputError."""
        texts = self._read(X)
        return np.array([prediction.value for prediction in self.model_.predict(texts)], np.float64)
