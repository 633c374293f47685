"""The public functions. They return values, raise BertuneError, and print nothing by default.

Importing them imports neither torch nor transformers: each function imports what it needs.
"""

from bertune.api.models import decide, evaluate, export, load, predict, verify
from bertune.api.runs import bench, compare, report
from bertune.api.training import (
    Settings,
    check,
    cross_validate,
    cross_validate_events,
    train,
    train_events,
    tune,
    tune_events,
)

__all__ = [
    "Settings",
    "bench",
    "check",
    "compare",
    "cross_validate",
    "cross_validate_events",
    "decide",
    "evaluate",
    "export",
    "load",
    "predict",
    "report",
    "train",
    "train_events",
    "tune",
    "tune_events",
    "verify",
]
