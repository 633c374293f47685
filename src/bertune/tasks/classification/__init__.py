"""The task `classification`, as its file `task.py` describes it."""

from bertune.tasks.classification.task import TASK

__all__ = ["TASK"]
