"""The `multilabel` task; see `task.py`."""

from bertune.tasks.multilabel.task import TASK

__all__ = ["TASK"]
