"""The task `token_classification`, as its file `task.py` describes it."""

from bertune.tasks.token_classification.task import TASK

__all__ = ["TASK"]
