"""`BertClassifier`: a scikit-learn classifier for texts and pairs of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bertune.estimators import stored
from bertune.estimators.estimator import TextEstimator
from bertune.estimators.inputs import targets_of, texts_of
from bertune.optional_packages import needs

with needs("sklearn", "for bertune.BertClassifier"):
    from sklearn.base import ClassifierMixin

if TYPE_CHECKING:
    from bertune.predict.model import Model


class BertClassifier(ClassifierMixin, TextEstimator):  # type: ignore[misc]
    """Classifies texts with a fine-tuned BERT-like encoder; a scikit-learn classifier.

    X is a list or array of texts, a pandas Series, or a DataFrame or array [N, 2] of pairs of texts. y has
    labels of any type that can be sorted, or is an indicator matrix [N, K] for several labels per text.

    Args:
        model: minilm (packaged), a local folder, or a Hub model ID.
        epochs: passes over the training data.
        batch_size: examples per optimizer step.
        learning_rate: peak learning rate.
        max_length: maximum number of tokens in a text; "auto" for the maximum of the encoder.
        validation_fraction: fraction of the rows that selects the checkpoint (and calibrates probabilities,
            if there are at least 500). With 0, the model is trained again on all rows afterwards, for the
            number of steps that was best (`train.refit`), which takes twice as long.
        random_state: seed of the split, data order, new weights and dropout; None for a random one.
        settings: all other settings, such as {"train.freeze": 4, "machine.threads": 1}.
        out: a new run folder to keep, with report and scores; None for a temporary one, which is removed.
        verbose: print the progress to stderr.

    Attributes:
        classes_: the sorted labels [C]; 0 to K - 1 for an indicator matrix.
        model_: the trained `bertune.Model`.
        warnings_: the warnings raised during training, for example that the model collapsed to one class.
        run_: the `bertune.Run`, if `out` was given.
        n_features_in_, feature_names_in_: number and names of the text columns, if X has two dimensions.
    """

    _fields: ClassVar[tuple[str, ...]] = ("label", "labels")

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune the encoder on texts X [N] and labels y [N], or indicators y [N, K].

        Raises EstimatorInputError (a BertuneError and a ValueError), and the errors of `bertune.train`.
        """
        texts = texts_of(X)
        targets = targets_of(y, len(texts.rows), type(self).__name__)
        names = targets.names
        if targets.is_multilabel:
            labels = {f"label {name}": targets.codes[:, k].tolist() for k, name in enumerate(names)}
            task: dict[str, Any] = {"task.name": "multilabel", "task.columns": list(labels)}
            names = tuple(labels)
        else:
            labels = {"label": [names[code] for code in targets.codes]}
            task = {"task.name": "classification", "data.label": "label"}
        self.classes_ = targets.classes
        self._order = names
        self._fit(texts, labels, task)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each text [N]; for several labels per text, indicators [N, K].

        A decision rule of the model (`decide.objective`) applies; `decision` is in the result of
        `model_.predict`. Raises NotFittedError, EstimatorInputError.
        """
        texts = self._read(X)
        predictions = self.model_.predict(texts)
        position = {name: number for number, name in enumerate(self._order)}
        if self._is_multilabel:
            found_NK = np.zeros((len(predictions), len(self._order)), dtype=np.int64)
            for row, prediction in enumerate(predictions):
                found_NK[row, [position[label] for label in prediction.labels]] = 1
            return found_NK
        return self.classes_[[position[prediction.label] for prediction in predictions]]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class [N, C] in the order of `classes_`.

        For several labels per text, of each label [N, K]; rows then do not add up to 1. Raises
        NotFittedError, EstimatorInputError.
        """
        texts = self._read(X)
        position = {name: number for number, name in enumerate(self.model_.labels)}
        return self.model_.predict_proba(texts)[:, [position[name] for name in self._order]]

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    @property
    def _is_multilabel(self) -> bool:
        return "labels" in self.model_.fitted.prediction_fields

    def _to_json(self) -> dict[str, Any]:
        return {
            **super()._to_json(),
            "classes": stored.classes_to_json(self.classes_),
            "order": list(self._order),
        }

    def _restore(self, content: Mapping[str, Any] | None, model: Model) -> None:
        super()._restore(content, model)
        if content is not None:
            self.classes_ = stored.classes_from_json(content["classes"])
            self._order = tuple(content["order"])
            return
        self._order = model.labels if self._is_multilabel else tuple(sorted(model.labels))
        self.classes_ = np.arange(len(self._order)) if self._is_multilabel else np.array(self._order)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
