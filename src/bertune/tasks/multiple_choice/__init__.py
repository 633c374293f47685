"""The `multiple_choice` task; see `task.py`."""

from bertune.tasks.multiple_choice.task import TASK

__all__ = ["TASK"]
