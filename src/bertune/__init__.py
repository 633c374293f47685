"""bertune: fine-tune a BERT-family encoder on your own texts, trust the result, and put it to work.

import bertune as bt
run = bt.train("reviews.csv", overrides={"train.epochs": 3})
bt.load(run).predict(["great phone", "broke in a week"])
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertune.api import check, evaluate, load, predict, report, train
    from bertune.apply import Evaluation, Model
    from bertune.errors import BertuneError
    from bertune.run import Run

_HOME = {
    "BertuneError": "bertune.errors",
    "Evaluation": "bertune.apply",
    "Model": "bertune.apply",
    "Run": "bertune.run",
    "check": "bertune.api",
    "evaluate": "bertune.api",
    "load": "bertune.api",
    "predict": "bertune.api",
    "report": "bertune.api",
    "train": "bertune.api",
}

__all__ = [  # noqa: RUF022 - the order in which they are met
    "train",
    "load",
    "predict",
    "evaluate",
    "check",
    "report",
    "Run",
    "Model",
    "Evaluation",
    "BertuneError",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used: `import bertune` costs neither torch nor transformers."""
    if name not in _HOME:
        raise AttributeError(f"module 'bertune' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
