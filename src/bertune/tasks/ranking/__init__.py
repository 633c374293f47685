"""The task `ranking`, as its file `task.py` describes it."""

from bertune.tasks.ranking.task import TASK

__all__ = ["TASK"]
