"""The task `regression`, as its file `task.py` describes it."""

from bertune.tasks.regression.task import TASK

__all__ = ["TASK"]
