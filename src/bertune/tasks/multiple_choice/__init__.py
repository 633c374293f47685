"""The task `multiple_choice`, as its file `task.py` describes it."""

from bertune.tasks.multiple_choice.task import TASK

__all__ = ["TASK"]
