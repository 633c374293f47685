"""The task `multilabel`, as its file `task.py` describes it."""

from bertune.tasks.multilabel.task import TASK

__all__ = ["TASK"]
