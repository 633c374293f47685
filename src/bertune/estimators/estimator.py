"""The base class of the estimators: parameters, training, prediction in the order of X, saving."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from bertune.config import Config
from bertune.errors import ConfigError
from bertune.estimators import stored
from bertune.estimators.fitting import PARAMETERS, settings_of, train
from bertune.estimators.inputs import EstimatorInputError, Texts, texts_of
from bertune.files import as_path
from bertune.optional_packages import needs
from bertune.predict.loading import load_model
from bertune.run import CONFIG, Run, read_config
from bertune.settings import nested

with needs("sklearn", "for the estimators of bertune"):
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from bertune.predict.model import Model

_SEEDS = 2**32


class TextEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Fine-tunes an encoder on texts; the parent of the classifier and the regressor."""

    _fields: ClassVar[tuple[str, ...]]  # fields of predictions; a model for the estimator has one of them

    def __init__(  # noqa: PLR0913
        self,
        *,
        model: str = "google-bert/bert-base-uncased",
        epochs: float = 3,
        batch_size: int = 32,
        learning_rate: float = 5e-5,
        max_length: int | str = "auto",
        validation_fraction: float = 0.1,
        random_state: Any = None,
        settings: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_length = max_length
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.settings = settings
        self.out = out
        self.verbose = verbose

    def save(self, folder: str | Path) -> Path:
        """Save the fitted estimator as a new folder, which `from_run` and `bertune.load` read.

        The folder has the model in the Hugging Face layout in `model/`, and the parameters and classes in
        estimator.json. Raises NotFittedError, RunExistsError, InputError, ResourceError.
        """
        check_is_fitted(self)
        path = as_path(folder, "the folder")
        stored.save(Path(os.path.abspath(path)), self.model_, self._to_json())
        return path

    @classmethod
    def from_run(cls, run: Run | str | Path, *, settings: Mapping[str, Any] | None = None) -> Self:
        """The fitted estimator of a run, of a model folder, or of a folder that `save` wrote.

        The classes come from the estimator if one was stored; otherwise, they are the label names of the
        model. `settings` are as in `bertune.load`. Raises InputError, ModelError, and ConfigError for a model
        of another task.
        """
        path = run.path if isinstance(run, Run) else as_path(run, "the run")
        model = load_model(path, nested(settings))
        if not set(cls._fields) & set(model.fitted.prediction_fields):
            raise ConfigError(
                f"{path} is a model for task.name={model.metadata.task.name}, which {cls.__name__} cannot "
                "represent. Use bertune.load instead"
            )
        content = stored.read(path)
        estimator = cls(**(_parameters_of(path) if content is None else content["parameters"]))
        estimator.model_ = model
        if (path / CONFIG).is_file():
            estimator.run_ = Run(path)
        estimator._restore(content, model)
        return estimator

    def _fit(self, texts: Texts, labels: Mapping[str, list[Any]], task: Mapping[str, Any]) -> None:
        """Train on texts, and on labels by column. Sets `model_`, and `run_` if `out` is given."""
        columns = _text_columns(texts.num_columns)
        cells = zip(*labels.values(), strict=True)
        rows = [
            dict(zip(columns, row, strict=True)) | dict(zip(labels, values, strict=True))
            for row, values in zip(texts.rows, cells, strict=True)
        ]
        state = self.random_state
        if not isinstance(state, int | np.integer):
            state = check_random_state(state).randint(_SEEDS, dtype=np.int64)
        settings = settings_of(self.get_params(deep=False), int(state), {"data.text": columns, **task})
        self.model_, run, self.warnings_ = train(rows, settings, self.out, self.verbose)
        self.n_texts_ = texts.num_columns
        for name in ("run_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)
        if texts.is_table:
            self.n_features_in_ = texts.num_columns
        if texts.names is not None:
            self.feature_names_in_ = np.array(texts.names, dtype=object)
        if run is not None:
            self.run_ = run
            stored.write(run.path, self._to_json())

    def _read(self, X: Any) -> list[Any]:
        """The texts of X for the model. Raises NotFittedError, EstimatorInputError."""
        check_is_fitted(self)
        texts = texts_of(X)
        name = type(self).__name__
        if texts.num_columns != self.n_texts_:
            raise EstimatorInputError(
                f"X has {texts.num_columns} features, but {name} is expecting {self.n_texts_} features as "
                "input: the texts of each row"
            )
        known = getattr(self, "feature_names_in_", None)
        if texts.names is not None and known is not None and list(texts.names) != list(known):
            raise EstimatorInputError(
                "The feature names should match those that were passed during fit: expected the columns "
                f"{', '.join(known)}, got {', '.join(texts.names)}"
            )
        return [row[0] for row in texts.rows] if self.n_texts_ == 1 else list(texts.rows)

    def _to_json(self) -> dict[str, Any]:
        """Parameters and fitted attributes as plain JSON."""
        parameters = self.get_params(deep=False)
        state = parameters["random_state"]
        parameters["random_state"] = int(state) if isinstance(state, int | np.integer) else None
        parameters["out"] = None  # a path of this machine, at which the folder may not be
        parameters["settings"] = None if self.settings is None else dict(self.settings)
        found = {"estimator": type(self).__name__, "parameters": parameters, "n_texts": self.n_texts_}
        if hasattr(self, "n_features_in_"):
            found["n_features_in"] = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            found["feature_names_in"] = self.feature_names_in_.tolist()
        return found

    def _restore(self, content: Mapping[str, Any] | None, model: Model) -> None:
        """Set the fitted attributes from estimator.json, or from the model alone."""
        self.n_texts_ = len(model.metadata.columns.text) if content is None else content["n_texts"]
        if content is not None and "n_features_in" in content:
            self.n_features_in_ = content["n_features_in"]
        if content is not None and "feature_names_in" in content:
            self.feature_names_in_ = np.array(content["feature_names_in"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = True  # columns of texts
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


def _text_columns(num: int) -> list[str]:
    return ["text"] if num == 1 else [f"text_{number + 1}" for number in range(num)]


def _parameters_of(path: Path) -> dict[str, Any]:
    """The parameters that train a model like that of a run; the defaults if its settings are not there."""
    if not (path / CONFIG).is_file():
        return {}
    config, usual = read_config(path), Config()
    found = {name: _value(config, key) for name, key in PARAMETERS.items()}
    settings = {
        f"{section}.{key}": value
        for section in ("train", "optimizer", "machine", "model", "decide")
        for key, value in getattr(config, section).model_dump(mode="json", exclude_none=True).items()
        if f"{section}.{key}" not in PARAMETERS.values() and value != getattr(getattr(usual, section), key)
    }
    settings |= {f"task.{key}": value for key, value in config.task.options.items()}
    settings.pop("train.seeds", None)
    return {**found, "settings": settings or None}


def _value(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
