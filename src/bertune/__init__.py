"""bertune: fine-tune BERT-like encoders on your own texts, evaluate them, and use them for prediction.

import bertune as bt
run = bt.train("reviews.csv", settings={"train.epochs": 3})
bt.load(run).predict(["great phone", "broke in a week"])
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertune.api import (
        check,
        compare,
        cross_validate,
        decide,
        evaluate,
        export,
        load,
        predict,
        report,
        train,
        train_events,
        tune,
        verify,
    )
    from bertune.comparing import Comparison
    from bertune.cross_validation import CrossValidation
    from bertune.errors import BertuneError
    from bertune.estimators.classifier import BertClassifier
    from bertune.estimators.regressor import BertRegressor
    from bertune.predict.model import Model
    from bertune.predict.results import Evaluation
    from bertune.run import Run
    from bertune.training.events import DataReady, Evaluated, Finished, Noted, Started, Stepped, Warned
    from bertune.tuning import Tuning

_HOME = {
    "BertClassifier": "bertune.estimators.classifier",
    "BertRegressor": "bertune.estimators.regressor",
    "BertuneError": "bertune.errors",
    "CrossValidation": "bertune.cross_validation",
    "Evaluation": "bertune.predict.results",
    "Model": "bertune.predict.model",
    "Run": "bertune.run",
    "check": "bertune.api",
    "cross_validate": "bertune.api",
    "compare": "bertune.api",
    "Comparison": "bertune.comparing",
    "decide": "bertune.api",
    "evaluate": "bertune.api",
    "export": "bertune.api",
    "load": "bertune.api",
    "predict": "bertune.api",
    "report": "bertune.api",
    "train": "bertune.api",
    "train_events": "bertune.api",
    "tune": "bertune.api",
    "Tuning": "bertune.tuning",
    "verify": "bertune.api",
    **dict.fromkeys(
        ("DataReady", "Started", "Stepped", "Evaluated", "Noted", "Warned", "Finished"),
        "bertune.training.events",
    ),
}

__all__ = [  # noqa: RUF022 - in the order of typical use
    "train",
    "load",
    "predict",
    "evaluate",
    "decide",
    "check",
    "cross_validate",
    "tune",
    "compare",
    "report",
    "export",
    "verify",
    "BertClassifier",
    "BertRegressor",
    "Run",
    "CrossValidation",
    "Tuning",
    "Model",
    "Evaluation",
    "Comparison",
    "BertuneError",
    "train_events",
    "DataReady",
    "Started",
    "Stepped",
    "Evaluated",
    "Noted",
    "Warned",
    "Finished",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import bertune` imports neither torch nor transformers."""
    if name not in _HOME:
        raise AttributeError(f"module 'bertune' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Facade(ModuleType):
    """Keeps public functions accessible: importing a subpackage of the same name would replace them."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Facade
